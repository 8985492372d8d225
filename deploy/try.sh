#!/bin/sh
# Each recipe of deploy/ as written, on 127.0.0.1: sh deploy/try.sh [dask] [ssh] [slurm]
#
# From the book's folder, with `mdlib` and `dask` on the PATH. ssh needs sshd, slurm Debian's packages slurmctld slurmd
# munge and root. Nothing of the system is configured: all files are in a temporary folder, all processes end.
set -eu
folder=$(mktemp -d) here=$(pwd) sweep=
export DASK_INTERFACE=lo
cleanup() {
    trap '' EXIT INT TERM
    if [ -f "$folder/slurm.conf" ]; then # jobs that end without their controller would stay behind
        scancel --full --user="$(id -un)" 2>/dev/null || true
        n=0 && while [ -n "$(squeue -h 2>/dev/null)" ] && [ $n -lt 60 ]; do n=$((n + 1)) && sleep 1; done
    fi
    pids=$(cat "$folder"/*.pid 2>/dev/null; jobs -p) n=0
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do # a controller takes seconds to end; what is dead but not waited for counts as gone
        while ps -o stat= -p "$pid" | grep -qv Z && [ $n -lt 60 ]; do n=$((n + 1)) && sleep 0.5; done
    done
}
trap cleanup EXIT INT TERM

cat >"$folder/chapter.py" <<'PY'
# %% tags=["parameters"]
seed = 0  # of nothing
out = ""  # where to

# %%
import os
import socket
import time

import mdlib

time.sleep(2)
mdlib.record(out, host=socket.gethostname(), worker=os.environ.get("SLURM_JOB_ID", "none"), pid=os.getpid(),
             threads=os.environ.get("OMP_NUM_THREADS", ""), gpu="gpu " + os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
PY
printf 'chapter: chapter.py\nseeds: 6\n' >"$folder/try.yaml"

check() { # the sweep of a recipe is whole
    mdlib sweep "$folder/try.yaml" --out "$folder/$1" --status | grep -q '6 done' && echo "deploy/try.sh: $1 works"
}

try_dask() {
    dask scheduler --port 0 --no-dashboard --scheduler-file "$folder/dask.json" >"$folder/scheduler.log" 2>&1 &
    echo $! >"$folder/scheduler.pid"
    for n in 1 2; do
        dask worker --scheduler-file "$folder/dask.json" --nthreads 1 --no-dashboard --local-directory "$folder" \
            >"$folder/worker$n.log" 2>&1 &
        echo $! >"$folder/worker$n.pid"
    done
    mdlib sweep "$folder/try.yaml" --out "$folder/dask" --scheduler "$folder/dask.json"
    check dask
}

try_ssh() {
    ssh-keygen -q -t ed25519 -N '' -f "$folder/host"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
    mkdir -p /run/sshd
    cat >"$folder/sshd_config" <<CONFIG
Port 12222
ListenAddress 127.0.0.1
HostKey $folder/host
AuthorizedKeysFile $folder/key.pub
StrictModes no
UsePAM no
PidFile $folder/sshd.pid
PermitUserEnvironment no
AcceptEnv PYTHONPATH OMP_NUM_THREADS
CONFIG
    "$(command -v sshd || echo /usr/sbin/sshd)" -f "$folder/sshd_config"
    echo 127.0.0.1 >"$folder/hosts.txt"
    export SSH="ssh -p 12222 -i $folder/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o SendEnv=PYTHONPATH"
    sh deploy/ssh/start.sh "$folder/hosts.txt" 2 >"$folder/ssh.log" 2>&1 &
    echo $! >"$folder/ssh.pid"
    mdlib sweep "$folder/try.yaml" --out "$folder/ssh" --scheduler dask.json
    kill "$(cat "$folder/ssh.pid")"
    rm -f dask.json
    check ssh
}

try_slurm() {
    dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 2>/dev/null
    chmod 600 "$folder/munge.key" && chmod 755 "$folder"
    /usr/sbin/munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
        --pid-file="$folder/munge.pid" --log-file="$folder/munge.log" --seed-file="$folder/munge.seed"
    mkdir -p "$folder/state" "$folder/spool"
    export SLURM_CONF="$folder/slurm.conf"
    cat >"$SLURM_CONF" <<CONFIG
ClusterName=try
SlurmctldHost=$(hostname -s)(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
NodeName=$(hostname -s) NodeAddr=127.0.0.1 $(/usr/sbin/slurmd -C | grep -o 'CPUs=.*RealMemory=[0-9]*')
PartitionName=try Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONFIG
    /usr/sbin/slurmctld && /usr/sbin/slurmd
    n=0 && until sinfo -h -o %T 2>/dev/null | grep -q idle; do n=$((n + 1)) && [ $n -lt 60 ] && sleep 1; done
    sbatch --wait --output="$folder/slurm.out" deploy/slurm/sweep.sbatch "$folder/try.yaml" --out "$folder/slurm" ||
        { cat "$folder/slurm.out"; exit 1; }
    check slurm
    DASK_CONFIG=deploy/slurm mdlib sweep "$folder/try.yaml" --out "$folder/slurm-jobs" --scheduler slurm --workers 2
    check slurm-jobs
}

for recipe in ${*:-dask ssh slurm}; do try_"$recipe"; done
