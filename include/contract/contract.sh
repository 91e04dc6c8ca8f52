#!/bin/sh
# The job contract in shell: contract.sh FILE ROWS uploads FILE as OUTPUT_URI, then writes RESULT_URI. Needs the AWS CLI.
set -eu
: "${SHARD:?not set: this runs in a shard of a FeaturePipeline}" "${OUTPUT_URI:?}" "${RESULT_URI:?}"
file=$1 rows=${2:-0}
aws s3 cp --only-show-errors "$file" "$OUTPUT_URI"
bytes=$(wc -c < "$file" | tr -d ' ')
sha256=$(sha256sum "$file" | cut -d' ' -f1)
name=$(printf %s "$SHARD" | sed 's/\\/\\\\/g; s/"/\\"/g')
printf '{"shard": "%s", "rows": %d, "files": [{"uri": "%s", "bytes": %d, "rows": %d, "sha256": "%s"}]}\n' \
    "$name" "$rows" "$OUTPUT_URI" "$bytes" "$rows" "$sha256" | aws s3 cp --only-show-errors - "$RESULT_URI"
