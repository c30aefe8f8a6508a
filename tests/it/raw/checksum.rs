//! Each algorithm's checksum of one text, as other implementations compute it.

use super::wire::{Ask, Signer, UNSIGNED, absent, ready};

const BODY: &[u8] = b"checked";

/// By `hashlib`, `xxhash` and `awscrt` of Python.
const CHECKSUMS: [(&str, &str); 10] = [
    ("crc32", "rQO6gw=="),
    ("crc32c", "yptfkA=="),
    ("crc64nvme", "51m+DUA5iNg="),
    ("sha1", "deSu3OSPrzhPNTX/64QumgcYolw="),
    ("sha256", "5ho9eMZRM8cmDEPnGdl8RuFr1Qxk7ngAU2zxTGQHphc="),
    (
        "sha512",
        "sMlxOqAJ9PzzmSDQ1+2oBxSwxE/y+YIFJ4vhEsdVykXlOGy+ep/KNgrSLwbkX4CouPI4OHJdFfiJ4gL1zqJjWQ==",
    ),
    ("md5", "N5PqUqe+LX3q/YWP2lB3XA=="),
    ("xxhash64", "pd5u5YMwPhQ="),
    ("xxhash3", "vHMgYBUzhlE="),
    ("xxhash128", "+nO5sKdaGJeCqpiwmqnjfw=="),
];

#[tokio::test]
async fn each_algorithm_agrees_with_other_implementations() {
    let server = ready().await;
    let now = Signer::now();
    let signed = |ask: Ask| ask.authorized(&now, UNSIGNED).0;
    let put = |key: &str| Ask::new(&server, "PUT", &format!("/raw/{key}")).body(BODY);
    for (name, sum) in CHECKSUMS {
        let header = format!("x-amz-checksum-{name}");
        let line = format!("{header}: {sum}\r\n");
        // Claimed by the client, computed by the server: the answer holds the same.
        let claimed = signed(put(name).header(&header, sum));
        let answer = claimed.expect(&server, 200, "").await;
        assert!(answer.text.contains(&line), "{answer:?}");
        assert!(answer.text.contains("x-amz-checksum-type: FULL_OBJECT\r\n"));
        let upper = name.to_uppercase();
        let asked = put(name).header("x-amz-sdk-checksum-algorithm", &upper);
        let answer = signed(asked).expect(&server, 200, "").await;
        assert!(answer.text.contains(&line), "{answer:?}");

        let get = |method| Ask::new(&server, method, &format!("/raw/{name}"));
        for method in ["GET", "HEAD"] {
            let told = get(method).header("x-amz-checksum-mode", "ENABLED");
            let answer = signed(told).expect(&server, 200, "").await;
            assert!(answer.text.contains(&line), "{answer:?}");
            let answer = signed(get(method)).expect(&server, 200, "").await;
            assert!(!answer.text.contains(&header), "{answer:?}");
        }

        // The sum of other bytes, and what is no sum of this algorithm.
        let mut other = put("wrong").header(&header, sum);
        other.body = b"chequed".to_vec();
        signed(other).expect(&server, 400, "BadDigest").await;
        let short = put("wrong").header(&header, "AAA=");
        signed(short).expect(&server, 400, "InvalidRequest").await;
        let second = if name == "crc32" {
            CHECKSUMS[1]
        } else {
            CHECKSUMS[0]
        };
        let two = put("wrong").header(&header, sum);
        let two = two.header(&format!("x-amz-checksum-{}", second.0), second.1);
        signed(two).expect(&server, 400, "InvalidRequest").await;
    }
    absent(&server, "wrong").await;
}
