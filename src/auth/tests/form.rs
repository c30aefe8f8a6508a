//! Signed forms.

use super::*;

pub(super) fn signed(fields: &[(String, String)]) -> SignedForm<'_> {
    SignedForm {
        fields,
        bucket: "photos",
        peer: None,
        heeds: Constraint::OF_OBJECT,
    }
}

fn form(conditions: &str, extra: &[(&str, &str)]) -> Result<Duties, AuthError> {
    let secret = Secret::new(SK);
    let signer = signer(&secret);
    let policy = format!(
        r#"{{"expiration":"2013-05-24T01:00:00Z","conditions":[{{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},
        ["starts-with","$x-amz-credential",""],["starts-with","$X-Amz-Date",""],
        {{"bucket":"photos"}}{conditions}]}}"#
    );
    let mut fields = sign_post(&signer, &policy, t0());
    fields.extend(
        extra
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
    );
    let grant = authenticate_form(&signed(&fields), &Ring, &settings(), t0());
    grant.map(|grant| grant.duties().clone())
}

#[test]
fn each_condition_of_a_policy_is_kept() {
    let failed = "Invalid according to Policy: Policy Condition failed: ";
    for (conditions, fields, error) in [
        (r#",{"bucket":"photos"},{"key":"a"}"#, vec![("Key", "a")], None),
        (r#",{"bucket":"other"}"#, vec![], Some(format!("{failed}[\"eq\", \"$bucket\", \"other\"]"))),
        (r#",{"bucket":"photos"}"#, vec![("bucket", "x")], Some(format!("{failed}[\"eq\", \"$bucket\", \"photos\"]"))),
        (r#",["eq","$key","a"]"#, vec![("key", "b")], Some(format!("{failed}[\"eq\", \"$key\", \"a\"]"))),
        (r#",["eq","key","a"]"#, vec![("key", "a")], Some(format!("{failed}[\"eq\", \"key\", \"a\"]"))),
        (r#",["starts-with","$key","u/"]"#, vec![("key", "u/x")], None),
        (r#",["starts-with","$key","u/"]"#, vec![("key", "v/x")], Some(format!("{failed}[\"starts-with\", \"$key\", \"u/\"]"))),
        (r#",["starts-with","$Content-Type","image/"]"#, vec![("content-type", "image/a,image/b")], None),
        (r#",["starts-with","$Content-Type","image/"]"#, vec![("content-type", "image/a,text/b")], Some(format!("{failed}[\"starts-with\", \"$Content-Type\", \"image/\"]"))),
        (r#",["content-length-range","test",10]"#, vec![], Some(format!("{failed}[\"content-length-range\", \"test\", \"10\"]"))),
        ("", vec![("key", "a")], Some("Invalid according to Policy: Extra input fields: key".into())),
        ("", vec![("x-ignore-a", "a")], None),
        (r#",{"a":"1","b":"2"}"#, vec![], Some("Invalid Policy: Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.".into())),
        (r#",["like","$key","a"]"#, vec![], Some("Invalid Policy: Invalid Condition: unknown operation 'like'.".into())),
        (r#",["in","$key","a"]"#, vec![("key", "a")], Some(format!("{failed}[\"in\", \"$key\", \"a\"]"))),
        (r#",["in","$key",["a",1]]"#, vec![("key", "a")], Some(format!("{failed}[\"in\", \"$key\", [\"a\",1]]"))),
        (r#",["in","$key",[]]"#, vec![("key", "a")], Some(format!("{failed}[\"in\", \"$key\", []]"))),
        (r#",["in","$Content-Type",["image/png","image/gif"]]"#, vec![("content-type", "image/gif")], None),
        (r#",["in","$key",["a","b"]]"#, vec![("key", "c")], Some(format!("{failed}[\"in\", \"$key\", [\"a\",\"b\"]]"))),
        (r#",["in","$key",["a","b"]]"#, vec![], Some(format!("{failed}[\"in\", \"$key\", [\"a\",\"b\"]]"))),
        (r#",["not-in","$key",["b"]]"#, vec![("key", "a")], None),
        (r#",["not-in","$key",["b"]]"#, vec![], None),
        (r#",["not-in","$key",["b"]]"#, vec![("key", "b")], Some(format!("{failed}[\"not-in\", \"$key\", [\"b\"]]"))),
        (r#",["not-in","$key","b"]"#, vec![], Some(format!("{failed}[\"not-in\", \"$key\", \"b\"]"))),
        (r#",["not-in","$content-type",["a/b"]]"#, vec![("content-type", "A/b; c=d")], Some(format!("{failed}[\"not-in\", \"$content-type\", [\"a/b\"]]"))),
        (r#",["not-in","$content-type",["a/b"]]"#, vec![("content-type", "c/d,a/b")], Some(format!("{failed}[\"not-in\", \"$content-type\", [\"a/b\"]]"))),
    ] {
        let got = form(conditions, &fields).err().map(|e| e.to_string());
        assert_eq!(got, error, "{conditions} {fields:?}");
    }
    let range = form(r#",["content-length-range",1,"10"]"#, &[])
        .unwrap()
        .length_range;
    assert_eq!(range, Some(LengthRange { min: 1, max: 10 }));
    let range = form(r#",["content-length-range",-1,0]"#, &[]).unwrap();
    assert_eq!(range.length_range, Some(LengthRange { min: 0, max: 0 }));
}

#[test]
fn a_policy_may_demand_what_a_url_may() {
    let once = r#",{"x-consign-once":"1"}"#;
    assert!(
        form(once, &[("x-consign-once", "1")])
            .unwrap()
            .once
            .is_some()
    );
    let both =
        r#",["content-length-range",2,10],["starts-with","$x-consign-content-length-range",""]"#;
    let range = form(both, &[("x-consign-content-length-range", "0,5")]).unwrap();
    assert_eq!(range.length_range, Some(LengthRange { min: 2, max: 5 }));
    for (conditions, fields, code) in [
        (once, vec![], "AccessDenied"),
        ("", vec![("x-consign-once", "1")], "AccessDenied"),
        (
            r#",["starts-with","$x-consign-once",""]"#,
            vec![("x-consign-once", "")],
            "InvalidArgument",
        ),
        (
            r#",["starts-with","$x-consign-once",""]"#,
            vec![("X-Consign-Once", "1")],
            "InvalidArgument",
        ),
        (
            r#",{"x-consign-ones":"1"}"#,
            vec![("x-consign-ones", "1")],
            "InvalidArgument",
        ),
        (
            r#",{"x-consign-source-ip":"10.0.0.0/8"}"#,
            vec![("x-consign-source-ip", "10.0.0.0/8")],
            "AccessDenied",
        ),
        (
            r#",{"x-consign-not-before":"20130524T000001Z"}"#,
            vec![("x-consign-not-before", "20130524T000001Z")],
            "AccessDenied",
        ),
    ] {
        let refused = form(conditions, &fields).map_err(|error| error.code());
        assert_eq!(refused, Err(code), "{conditions}");
    }
    let unsigned = [("x-consign-once".to_owned(), "1".to_owned())];
    let refused = authenticate_form(&signed(&unsigned), &Ring, &settings(), t0());
    assert_eq!(refused.unwrap_err().code(), "AccessDenied");
}

/// The fields of a form that is signed as Version 2 has it.
fn form_v2(policy: &str) -> Vec<(String, String)> {
    let policy = base64::engine::general_purpose::STANDARD.encode(policy);
    let signature = sigv2::sign(SK, &policy);
    let fields = [
        ("AWSAccessKeyId", AK.to_owned()),
        ("Signature", signature),
        ("policy", policy),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

#[test]
fn a_form_may_be_signed_by_version_2_where_s3_still_takes_it() {
    let judge = |fields: &[(String, String)], region: &str| {
        let settings = AuthSettings {
            region: region.into(),
            ..settings()
        };
        let grant = authenticate_form(&signed(fields), &Ring, &settings, t0());
        grant.map_or_else(|error| error.to_string(), |_| "ok".to_owned())
    };
    let fine = r#"{"expiration":"2013-05-24T00:00:00Z","conditions":[{"bucket":"photos"}]}"#;
    let fields = form_v2(fine);
    assert_eq!(judge(&fields, "us-east-1"), "ok");
    let refused = AuthError::SignatureV2.to_string();
    assert_eq!(judge(&fields, "eu-central-1"), refused);
    let everywhere = AuthSettings {
        region: "eu-central-1".into(),
        signature_v2: true,
        ..settings()
    };
    let grant = authenticate_form(&signed(&fields), &Ring, &everywhere, t0());
    let signature = grant.unwrap().signature().unwrap();
    assert_eq!(
        (signature.version, signature.auth_type),
        (SignatureVersion::V2, AuthType::Form)
    );
    for name in ["AWSAccessKeyId", "Signature"] {
        let without: Vec<_> = fields.iter().filter(|(n, _)| n != name).cloned().collect();
        let missing = AuthError::FormFieldMissing { field: name };
        assert_eq!(judge(&without, "us-east-1"), missing.to_string());
    }
    let mut forged = fields.clone();
    forged[1].1 = sigv2::sign("x", &forged[2].1);
    assert!(judge(&forged, "us-east-1").contains("does not match"));
    for (policy, error) in [
        (
            r#"{"conditions":[]}"#,
            "Invalid Policy: Policy missing expiration.",
        ),
        (
            r#"{"expiration":"2013-05-24T00:00:00Z","conditions":[]}"#,
            "Invalid according to Policy: Extra input fields: bucket",
        ),
        (
            r#"{"expiration":"2013-05-24 00:00:00+00:00","conditions":[]}"#,
            "Invalid Policy: Invalid 'expiration' value.",
        ),
    ] {
        assert_eq!(judge(&form_v2(policy), "us-east-1"), error);
    }
}

#[test]
fn a_forms_signature_is_proven_before_its_policy_is_read() {
    let secret = Secret::new(SK);
    let signer = signer(&secret);
    let judge = |fields: &[(String, String)], now| {
        authenticate_form(&signed(fields), &Ring, &settings(), now).map_or_else(
            |e| e.code(),
            |grant| match grant.who() {
                Who::Key(_) => "key",
                Who::Anonymous => "anonymous",
            },
        )
    };
    let fields = sign_post(&signer, "{}", t0());
    assert_eq!(judge(&fields, t0()), "InvalidPolicyDocument");
    assert_eq!(judge(&[], t0()), "anonymous");
    assert_eq!(judge(fields.get(..1).unwrap(), t0()), "AccessDenied");
    for at in 0..fields.len() {
        let mut without = fields.clone();
        without.remove(at);
        assert_eq!(judge(&without, t0()), "InvalidArgument", "{at}");
    }
    let mut garbled = fields.clone();
    garbled[0].1.push('x');
    assert_eq!(judge(&garbled, t0()), "SignatureDoesNotMatch");
    let policy = r#"{"expiration":"2013-05-24T00:00:00Z","conditions":[]}"#;
    let expired = sign_post(&signer, policy, t0());
    assert_eq!(
        judge(&expired, t0().plus(Duration::from_millis(1))),
        "AccessDenied"
    );
    assert!(
        base64::engine::general_purpose::STANDARD
            .decode(&expired[0].1)
            .is_ok()
    );
}

#[test]
fn a_files_name_is_put_into_the_key() {
    assert_eq!(expand_filename("u/${filename}", r"C:\x\a.png"), "u/a.png");
    assert_eq!(expand_filename("u/x", "a"), "u/x");
}
