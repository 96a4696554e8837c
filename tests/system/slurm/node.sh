#!/bin/bash
# Starts a SLURM of one node as the first process of its own namespaces. When this process ends, in whatever way, every
# daemon ends with it. Its changes (host name, /etc/hosts, /etc/slurm, the network) cannot be seen from outside.
#   unshare --mount --uts --net --pid --mount-proc --fork --kill-child tests/system/slurm/node.sh FOLDER
# Needs root and the Debian packages slurm-wlm and munge. FOLDER/up appears when jobs can be submitted.
set -euo pipefail
folder=$1
mkdir -p "$folder"/{etc,state,spool,munge}
hostname node
# the only device of this network; it needs a second address, since 127.0.0.1 alone does not count when names are resolved
ip link set lo up
ip address add 10.0.0.1/32 dev lo
printf '127.0.0.1 localhost\n10.0.0.1 node\n' >"$folder/hosts"
mount --bind "$folder/hosts" /etc/hosts

# two GPUs that do nothing; SLURM counts, reserves and shows real devices only
mknod -m 666 "$folder/gpu0" c 1 3
mknod -m 666 "$folder/gpu1" c 1 3
echo "Name=gpu File=$folder/gpu[0-1] Flags=nvidia_gpu_env" >"$folder/etc/gres.conf"

# what each job step sees of the GPUs
cat >"$folder/prolog.sh" <<END
#!/bin/sh
echo "\$SLURM_JOB_ID \${CUDA_VISIBLE_DEVICES-none}" >>"$folder/devices"
END
chmod +x "$folder/prolog.sh"

# a step that holds more memory than its job asked for is killed (OverMemoryKill); jobs are remembered for an hour
cat >"$folder/etc/slurm.conf" <<END
ClusterName=test
SlurmctldHost=node
SlurmUser=root
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
TaskProlog=$folder/prolog.sh
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=2
MinJobAge=3600
ReturnToService=2
JobRequeue=0
GresTypes=gpu
NodeName=node CPUs=4 RealMemory=64000 Gres=gpu:2
PartitionName=cpu Nodes=node Default=YES MaxTime=2-0
PartitionName=gpu Nodes=node MaxTime=2-0
END
mount --bind "$folder/etc" /etc/slurm # where the jobs look, which lose SLURM_CONF

(umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
munged --foreground --force --socket "$folder/munge/socket" --key-file "$folder/munge/key" \
	--pid-file "$folder/munge/pid" --seed-file "$folder/munge/seed" &
until munge -S "$folder/munge/socket" -n >/dev/null 2>&1; do sleep 0.1; done
slurmctld -D &
slurmd -D &
until [ "$(sinfo -h -p cpu -t idle -o %D 2>/dev/null)" = 1 ]; do sleep 0.1; done
touch "$folder/up"
wait -n # ends with the first daemon that does
