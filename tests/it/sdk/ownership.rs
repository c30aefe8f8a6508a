//! Who owns the objects of a bucket, and lists of who else may what, through the SDK.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    AccessControlPolicy, BucketCannedAcl, Grant, Grantee, ObjectCannedAcl, ObjectOwnership, Owner,
    OwnershipControls, OwnershipControlsRule, Permission, Type,
};

use super::{BUCKET, denied, fault, publish, put, ready};

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn choose(client: &Client, ownership: ObjectOwnership) -> Result<(), (u16, String)> {
    let rule = OwnershipControlsRule::builder().object_ownership(ownership);
    let rules = OwnershipControls::builder().rules(rule.build().unwrap());
    let put = client.put_bucket_ownership_controls().bucket(BUCKET);
    let put = put.ownership_controls(rules.build().unwrap());
    put.send()
        .await
        .map(drop)
        .map_err(|error| fault::<(), _>(Err(error)))
}

async fn chosen(client: &Client) -> Result<ObjectOwnership, (u16, String)> {
    let got = client.get_bucket_ownership_controls().bucket(BUCKET);
    match got.send().await {
        Ok(got) => Ok(got.ownership_controls.unwrap().rules()[0]
            .object_ownership
            .clone()),
        refused => Err(fault(refused)),
    }
}

/// The canonical id of a client's own account.
async fn id(client: &Client) -> String {
    let all = client.list_buckets().send().await.unwrap();
    all.owner.unwrap().id.unwrap()
}

async fn owner(client: &Client, key: &str) -> String {
    let list = client.get_object_acl().bucket(BUCKET).key(key);
    list.send().await.unwrap().owner.unwrap().id.unwrap()
}

async fn reads(client: &Client, key: &str) -> bool {
    client
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .is_ok()
}

/// The grants of a list: who, by id or by the last part of the group's name, and what.
fn told(grants: &[Grant]) -> Vec<String> {
    let mut told: Vec<_> = grants
        .iter()
        .map(|grant| {
            let who = grant.grantee().unwrap();
            let name = who.uri().or(who.id()).unwrap();
            let name = name.rsplit('/').next().unwrap();
            format!("{name} {}", grant.permission().unwrap().as_str())
        })
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn the_choice_of_ownership_is_kept_and_taken_back() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    assert_eq!(
        chosen(&client).await,
        Ok(ObjectOwnership::BucketOwnerEnforced)
    );
    for ownership in [
        ObjectOwnership::ObjectWriter,
        ObjectOwnership::BucketOwnerPreferred,
        ObjectOwnership::BucketOwnerEnforced,
    ] {
        choose(&client, ownership.clone()).await.unwrap();
        assert_eq!(chosen(&client).await, Ok(ownership));
    }
    let nonsense = choose(&client, ObjectOwnership::from("Nobody")).await;
    assert_eq!(nonsense, Err(refused(400, "MalformedXML")));
    assert_eq!(
        choose(&tenant, ObjectOwnership::ObjectWriter).await,
        Err(denied())
    );
    assert_eq!(chosen(&tenant).await, Err(denied()));
    let delete = || {
        client
            .delete_bucket_ownership_controls()
            .bucket(BUCKET)
            .send()
    };
    delete().await.unwrap();
    delete().await.unwrap();
    let gone = refused(404, "OwnershipControlsNotFoundError");
    assert_eq!(chosen(&client).await, Err(gone));
}

#[tokio::test]
async fn enforced_ownership_knows_no_lists() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    publish(
        &client,
        &["s3:PutObject", "s3:PutObjectAcl", "s3:GetObject"],
    )
    .await;
    choose(&client, ObjectOwnership::BucketOwnerEnforced)
        .await
        .unwrap();
    let no_lists = refused(400, "AccessControlListNotSupported");
    put(&tenant, "k", b"x").await;
    assert_eq!(owner(&client, "k").await, id(&client).await);
    let public = client.put_bucket_acl().bucket(BUCKET);
    let public = public.acl(BucketCannedAcl::PublicRead).send().await;
    assert_eq!(fault(public), no_lists);
    for acl in [
        ObjectCannedAcl::PublicRead,
        ObjectCannedAcl::AuthenticatedRead,
    ] {
        let put = client.put_object_acl().bucket(BUCKET).key("k");
        assert_eq!(fault(put.acl(acl.clone()).send().await), no_lists);
        let put = client.put_object().bucket(BUCKET).key("new");
        assert_eq!(fault(put.acl(acl).send().await), no_lists);
    }
    let granted = client.put_object().bucket(BUCKET).key("new");
    let granted = granted.grant_read(format!("id={}", id(&tenant).await));
    assert_eq!(fault(granted.send().await), no_lists);
    // What says the same as the ownership is taken.
    let full = tenant.put_object().bucket(BUCKET).key("full");
    let full = full.acl(ObjectCannedAcl::BucketOwnerFullControl);
    full.send().await.unwrap();
    assert_eq!(owner(&client, "full").await, id(&client).await);
}

#[tokio::test]
async fn a_shared_bucket_can_not_be_enforced() {
    let (_server, client) = ready().await;
    choose(&client, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    let set = async |acl: BucketCannedAcl| {
        let put = client.put_bucket_acl().bucket(BUCKET).acl(acl);
        put.send().await.unwrap();
    };
    set(BucketCannedAcl::PublicRead).await;
    let enforced = || choose(&client, ObjectOwnership::BucketOwnerEnforced);
    let shared = refused(400, "InvalidBucketAclWithObjectOwnership");
    assert_eq!(enforced().await, Err(shared.clone()));
    set(BucketCannedAcl::Private).await;
    enforced().await.unwrap();
    let new = client
        .create_bucket()
        .bucket("enforced")
        .acl(BucketCannedAcl::PublicRead);
    let new = new.object_ownership(ObjectOwnership::BucketOwnerEnforced);
    assert_eq!(fault(new.send().await), shared);
}

#[tokio::test]
async fn who_writes_owns_unless_the_bucket_is_preferred() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    publish(&client, &["s3:PutObject"]).await;
    let (ours, theirs) = (id(&client).await, id(&tenant).await);
    let full = async |key: &str| {
        let put = tenant.put_object().bucket(BUCKET).key(key);
        let put = put.acl(ObjectCannedAcl::BucketOwnerFullControl);
        put.send().await.unwrap();
    };
    choose(&client, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    put(&tenant, "k", b"theirs").await;
    assert_eq!(owner(&tenant, "k").await, theirs);
    // Whose bucket it is may remove the object, and not read it or its list.
    assert!(!reads(&client, "k").await && reads(&tenant, "k").await);
    let list = client.get_object_acl().bucket(BUCKET).key("k").send().await;
    assert_eq!(fault(list), denied());
    full("full").await;
    assert_eq!(owner(&client, "full").await, theirs);
    assert!(reads(&client, "full").await);
    // The last who writes owns it.
    put(&client, "k", b"ours").await;
    assert_eq!(owner(&client, "k").await, ours);
    assert!(!reads(&tenant, "k").await);
    put(&tenant, "k", b"theirs again").await;
    assert_eq!(owner(&tenant, "k").await, theirs);

    choose(&client, ObjectOwnership::BucketOwnerPreferred)
        .await
        .unwrap();
    put(&tenant, "plain", b"x").await;
    assert_eq!(owner(&tenant, "plain").await, theirs);
    full("given").await;
    assert_eq!(owner(&client, "given").await, ours);
    // What was written before keeps its owner until lists do not count at all.
    assert_eq!(owner(&tenant, "k").await, theirs);
    assert!(!reads(&client, "k").await);
    choose(&client, ObjectOwnership::BucketOwnerEnforced)
        .await
        .unwrap();
    assert!(reads(&client, "k").await);
    let delete = client.delete_object().bucket(BUCKET).key("plain");
    delete.send().await.unwrap();
}

#[tokio::test]
async fn each_canned_list_of_an_object() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    publish(&client, &["s3:PutObject"]).await;
    choose(&client, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    let (ours, theirs) = (id(&client).await, id(&tenant).await);
    let own = format!("{theirs} FULL_CONTROL");
    let also = |more: &[&str]| {
        let mut all: Vec<String> = more.iter().map(|&one| one.to_owned()).collect();
        all.push(own.clone());
        all.sort();
        all
    };
    let (ours_reads, ours_all) = (format!("{ours} READ"), format!("{ours} FULL_CONTROL"));
    for (acl, expected) in [
        (ObjectCannedAcl::Private, also(&[])),
        (ObjectCannedAcl::PublicRead, also(&["AllUsers READ"])),
        (
            ObjectCannedAcl::PublicReadWrite,
            also(&["AllUsers READ", "AllUsers WRITE"]),
        ),
        (
            ObjectCannedAcl::AuthenticatedRead,
            also(&["AuthenticatedUsers READ"]),
        ),
        (ObjectCannedAcl::BucketOwnerRead, also(&[&ours_reads])),
        (ObjectCannedAcl::BucketOwnerFullControl, also(&[&ours_all])),
    ] {
        let put = tenant.put_object().bucket(BUCKET).key("k").acl(acl.clone());
        put.send().await.unwrap();
        let list = tenant.get_object_acl().bucket(BUCKET).key("k");
        let list = list.send().await.unwrap();
        assert_eq!(told(list.grants()), expected, "{acl}");
        let set = tenant
            .put_object_acl()
            .bucket(BUCKET)
            .key("k")
            .acl(acl.clone());
        set.send().await.unwrap();
        let list = tenant.get_object_acl().bucket(BUCKET).key("k");
        assert_eq!(told(list.send().await.unwrap().grants()), expected, "{acl}");
    }
    let nonsense = tenant.put_object().bucket(BUCKET).key("k");
    let nonsense = nonsense.acl(ObjectCannedAcl::from("nobody"));
    assert_eq!(
        fault(nonsense.send().await),
        refused(400, "InvalidArgument")
    );
}

fn to(kind: &Type, name: &str, permission: Permission) -> Grant {
    let grantee = Grantee::builder().r#type(kind.clone());
    let grantee = match kind {
        Type::Group => grantee.uri(name),
        Type::AmazonCustomerByEmail => grantee.email_address(name),
        _ => grantee.id(name),
    };
    let grantee = grantee.build().unwrap();
    Grant::builder()
        .grantee(grantee)
        .permission(permission)
        .build()
}

/// Ceph CVE-2016-7031: a list of rights that let everybody list the bucket.
#[tokio::test]
async fn grants_of_a_bucket_let_in_whom_they_name() {
    let (server, client) = ready().await;
    let (tenant, other) = (server.tenant("tenant"), server.tenant("other"));
    choose(&client, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    put(&client, "k", b"x").await;
    let (ours, theirs) = (id(&client).await, id(&tenant).await);
    let named = format!("id=\"{theirs}\"");
    let lists = async |who: &Client| who.list_objects_v2().bucket(BUCKET).send().await.is_ok();
    let writes = async |who: &Client| {
        who.put_object()
            .bucket(BUCKET)
            .key("w")
            .send()
            .await
            .is_ok()
    };
    let full = format!("id={ours}");
    let set = || {
        client
            .put_bucket_acl()
            .bucket(BUCKET)
            .grant_full_control(&full)
    };
    set().grant_read(&named).send().await.unwrap();
    assert!(lists(&tenant).await && !lists(&other).await && !writes(&tenant).await);
    assert!(
        !reads(&tenant, "k").await,
        "a bucket's list is not that of its objects"
    );
    set().grant_write(&named).send().await.unwrap();
    assert!(!lists(&tenant).await && writes(&tenant).await && !writes(&other).await);
    let everybody = "uri=\"http://acs.amazonaws.com/groups/global/AuthenticatedUsers\"";
    set().grant_read(everybody).send().await.unwrap();
    assert!(lists(&other).await);
    let acp = tenant.get_bucket_acl().bucket(BUCKET).send().await;
    assert_eq!(fault(acp), denied());
    set().grant_read_acp(&named).send().await.unwrap();
    tenant.get_bucket_acl().bucket(BUCKET).send().await.unwrap();
}

#[tokio::test]
async fn grants_of_an_object_let_in_whom_they_name() {
    let (server, client) = ready().await;
    let made = server.command(&["accounts", "add", "mailed", "--email", "m@example.com"]);
    assert!(made.status.success(), "{made:?}");
    let (tenant, other) = (server.tenant("tenant"), server.tenant("other"));
    choose(&client, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    put(&client, "k", b"x").await;
    let (full, named) = (
        format!("id={}", id(&client).await),
        format!("id=\"{}\"", id(&tenant).await),
    );
    let object = || {
        client
            .put_object_acl()
            .bucket(BUCKET)
            .key("k")
            .grant_full_control(&full)
    };
    object().grant_read(&named).send().await.unwrap();
    assert!(reads(&tenant, "k").await && !reads(&other, "k").await);
    object().grant_write_acp(&named).send().await.unwrap();
    assert!(!reads(&tenant, "k").await);
    let opened = tenant.put_object_acl().bucket(BUCKET).key("k");
    opened
        .acl(ObjectCannedAcl::PublicRead)
        .send()
        .await
        .unwrap();
    assert!(reads(&other, "k").await);
    for (grant, code) in [
        ("id=nobody", "InvalidArgument"),
        ("uri=http://nowhere/", "InvalidArgument"),
        (
            "emailAddress=no@example.com",
            "UnresolvableGrantByEmailAddress",
        ),
        ("nonsense", "InvalidArgument"),
    ] {
        let refusal = fault(object().grant_read(grant).send().await);
        assert_eq!(refusal, refused(400, code), "{grant}");
    }
    object()
        .grant_read("emailAddress=m@example.com")
        .send()
        .await
        .unwrap();
    let both = object().acl(ObjectCannedAcl::Private).send().await;
    assert_eq!(fault(both), refused(400, "InvalidRequest"));
}

#[tokio::test]
async fn a_list_may_be_a_document() {
    let (server, client) = ready().await;
    let tenant = server.tenant("tenant");
    choose(&client, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    put(&client, "k", b"x").await;
    let (ours, theirs) = (id(&client).await, id(&tenant).await);
    let policy = |owner: &str, grants: Vec<Grant>| {
        let owner = Owner::builder().id(owner).build();
        AccessControlPolicy::builder()
            .owner(owner)
            .set_grants(Some(grants))
            .build()
    };
    let user = Type::CanonicalUser;
    let all = "http://acs.amazonaws.com/groups/global/AllUsers";
    let grants = vec![
        to(&user, &ours, Permission::FullControl),
        to(&user, &theirs, Permission::Read),
        to(&Type::Group, all, Permission::ReadAcp),
    ];
    let set = async |policy: AccessControlPolicy| {
        let put = client.put_object_acl().bucket(BUCKET).key("k");
        let put = put.access_control_policy(policy).send().await;
        put.map(drop).map_err(|error| fault::<(), _>(Err(error)))
    };
    set(policy(&ours, grants.clone())).await.unwrap();
    let list = client.get_object_acl().bucket(BUCKET).key("k");
    let list = list.send().await.unwrap();
    assert_eq!(told(list.grants()), told(&grants));
    assert!(reads(&tenant, "k").await);
    // Nobody gives an object away by its list.
    assert_eq!(set(policy(&theirs, grants)).await, Err(denied()));
    let nobody = vec![to(&user, "nobody", Permission::Read)];
    assert_eq!(
        set(policy(&ours, nobody)).await,
        Err(refused(400, "InvalidArgument"))
    );
    let nothing = vec![to(&user, &theirs, Permission::from("EAT"))];
    assert_eq!(
        set(policy(&ours, nothing)).await,
        Err(refused(400, "MalformedACLError"))
    );
    let nowhere = vec![to(&Type::Group, "http://nowhere/", Permission::Read)];
    assert_eq!(
        set(policy(&ours, nowhere)).await,
        Err(refused(400, "InvalidArgument"))
    );
    let none = client.put_object_acl().bucket(BUCKET).key("k").send().await;
    assert_eq!(fault(none).0, 400);
    let missing = client.put_object_acl().bucket(BUCKET).key("none");
    let missing = missing.acl(ObjectCannedAcl::Private).send().await;
    assert_eq!(fault(missing), refused(404, "NoSuchKey"));
    let missing = client.get_object_acl().bucket(BUCKET).key("none");
    assert_eq!(fault(missing.send().await), refused(404, "NoSuchKey"));
    let missing = client
        .get_object_acl()
        .bucket("no-such-bucket-here")
        .key("k");
    assert_eq!(fault(missing.send().await), refused(404, "NoSuchBucket"));
}
