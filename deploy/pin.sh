#!/bin/sh
# Names every image that somebody else makes by its digest, in .env: `sh deploy/pin.sh`, in the folder of docker-compose.yml.
# What a registry gives under a tag changes; under a digest it is always the same. An image that .env names already stays as it
# is: remove its line and run this again to take a newer one.
set -eu
touch .env
sed -n 's/.*\${\(TRIAGE_[A-Z]*_IMAGE\):-\([^}]*\)}.*/\1 \2/p' docker-compose.yml | sort -u | while read -r variable name; do
    if grep -q "^$variable=" .env; then continue; fi
    docker pull --quiet "$name" >/dev/null </dev/null
    digest=$(docker image inspect --format '{{index .RepoDigests 0}}' "$name" </dev/null)
    case $digest in
        *@sha256:*) echo "$variable=$digest" >>.env; echo "$name is $digest" ;;
        *) echo "$name has no digest of a registry: pull it from one, or write $variable into .env yourself" >&2; exit 1 ;;
    esac
done
