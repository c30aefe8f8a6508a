#!/usr/bin/env bash
# s3cmd as it was before Version 4.
set -euo pipefail
S3CMD_OPTIONS=--signature-v2 exec bash "$(dirname "$0")/s3cmd.sh"
