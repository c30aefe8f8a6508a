#!/usr/bin/env bash
# s3cmd, with an endpoint as its users configure one: mb, put (small and multipart), ls, get, del, rb.
set -euo pipefail
OPTIONS=(${S3CMD_OPTIONS:-})
cd "$CONSIGN_WORK"
host="${CONSIGN_ENDPOINT#http://}"
cat > s3cfg <<CONFIG
[default]
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
host_base = $host
host_bucket = $host
use_https = False
bucket_location = us-east-1
multipart_chunk_size_mb = 5
CONFIG
s3() { s3cmd -c s3cfg --no-progress "${OPTIONS[@]}" "$@"; }

echo hello > small.txt
head -c 12000000 /dev/urandom > large.bin
s3 mb s3://s3cmd-uploads
s3 put small.txt 's3://s3cmd-uploads/dir/a b+c.txt'
s3 put large.bin s3://s3cmd-uploads/large.bin
s3 ls --recursive s3://s3cmd-uploads | grep -F 's3://s3cmd-uploads/dir/a b+c.txt' >/dev/null
s3 get 's3://s3cmd-uploads/dir/a b+c.txt' small.back
s3 get s3://s3cmd-uploads/large.bin large.back
cmp small.txt small.back
cmp large.bin large.back
s3 del 's3://s3cmd-uploads/dir/a b+c.txt' s3://s3cmd-uploads/large.bin
test -z "$(s3 ls --recursive s3://s3cmd-uploads)"
s3 rb s3://s3cmd-uploads
