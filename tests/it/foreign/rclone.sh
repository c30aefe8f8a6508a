#!/usr/bin/env bash
# rclone: copy both ways, check, delete.
set -euo pipefail
cd "$CONSIGN_WORK"
export RCLONE_CONFIG="$CONSIGN_WORK/rclone.conf"
cat > "$RCLONE_CONFIG" <<CONFIG
[consign]
type = s3
provider = Other
access_key_id = $AWS_ACCESS_KEY_ID
secret_access_key = $AWS_SECRET_ACCESS_KEY
endpoint = $CONSIGN_ENDPOINT
region = us-east-1
CONFIG
mkdir -p tree/deep/er 'tree/sp ace'
for size in 0 1 1000 70000 11000000; do head -c "$size" /dev/urandom > "tree/deep/er/$size"; done
echo odd > 'tree/sp ace/a+b%c é.txt'
rclone mkdir consign:rclone-uploads
rclone copy --s3-upload-cutoff 6M --s3-chunk-size 5M tree consign:rclone-uploads/tree
rclone check --download tree consign:rclone-uploads/tree
rclone check tree consign:rclone-uploads/tree
rclone copy consign:rclone-uploads/tree back
diff -r tree back
rclone purge consign:rclone-uploads
