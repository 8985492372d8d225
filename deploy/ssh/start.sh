#!/bin/sh
# A Dask scheduler here, and workers on each host of a list, by plain ssh.
#
#   sh deploy/ssh/start.sh hosts.txt [RUNS_A_HOST] &
#   mdlib sweep NAME --scheduler dask.json
#
# hosts.txt: a host a line, as ssh takes it. All hosts see this folder under this path. The workers end with this script.
set -eu
hosts=$1 runs=${2:-1} here=$(pwd) bin=$(dirname "$(command -v dask)")
rm -f dask.json
dask scheduler --port 0 --no-dashboard --scheduler-file dask.json ${DASK_INTERFACE:+--interface $DASK_INTERFACE} &
scheduler=$!
trap 'kill $(jobs -p) 2>/dev/null' EXIT
trap 'exit 130' INT TERM
while [ ! -s dask.json ]; do
    kill -0 $scheduler 2>/dev/null || { echo "no Dask scheduler: pip install -e '.[cluster]'?" >&2; exit 5; }
    sleep 0.2
done
for host in $(cat "$hosts"); do
    ${SSH:-ssh} "$host" "cd '$here' && exec '$bin/dask' worker --scheduler-file dask.json --no-dashboard \
        --nworkers $runs --nthreads 1 --death-timeout 60 --local-directory /tmp" &
done
wait
