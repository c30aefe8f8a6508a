#!/usr/bin/env bash
# aws-cli: cp (small and multipart), sync, ls, presign, rm, rb.
set -euo pipefail
cd "$CONSIGN_WORK"
aws configure set default.s3.signature_version s3v4
aws() { command aws --endpoint-url "$CONSIGN_ENDPOINT" "$@"; }

mkdir -p tree/deep 'tree/with space'
head -c 100000 /dev/urandom > tree/a.bin
head -c 20000000 /dev/urandom > tree/deep/large.bin
echo plus > 'tree/with space/a+b%20c.txt'
: > tree/empty

aws s3 mb s3://cli-uploads
aws s3 cp --no-progress tree/deep/large.bin s3://cli-uploads/one/large.bin
aws s3 cp --no-progress s3://cli-uploads/one/large.bin back.bin
cmp tree/deep/large.bin back.bin
aws s3 sync --no-progress tree s3://cli-uploads/tree
aws s3 sync --no-progress s3://cli-uploads/tree back
diff -r tree back
test -z "$(aws s3 sync tree s3://cli-uploads/tree)"
aws s3 ls --recursive s3://cli-uploads/tree/ | grep -F 'tree/with space/a+b%20c.txt' >/dev/null
curl -fsS "$(aws s3 presign 's3://cli-uploads/tree/with space/a+b%20c.txt' --expires-in 60)" | cmp - 'tree/with space/a+b%20c.txt'
echo streamed | aws s3 cp - s3://cli-uploads/stdin
test "$(aws s3 cp s3://cli-uploads/stdin -)" = streamed
aws s3api head-object --bucket cli-uploads --key one/large.bin | grep -q '"ContentLength": 20000000'
for algorithm in CRC32 CRC32C CRC64NVME SHA1 SHA256 SHA512 XXHASH64 XXHASH3 XXHASH128; do
    aws s3api put-object --bucket cli-uploads --key "sum/$algorithm" --body tree/a.bin --checksum-algorithm "$algorithm" |
        grep "\"Checksum$algorithm\"" >/dev/null
done
aws s3 rm --quiet --recursive s3://cli-uploads
test -z "$(aws s3 ls --recursive s3://cli-uploads)"
aws s3 rb s3://cli-uploads
