#!/usr/bin/env bash
# A search as a Slurm job on one node, which goes on by itself where its time was too short:
#
#     sbatch examples/slurm.sh my_space.yaml mine --trials 200
#
# Two minutes before the end Slurm sends SIGTERM: running trials finish their epoch, the search stops (exit code 130),
# and the job puts itself back into the queue. The same command goes on where it stopped.
#SBATCH --job-name=ffsnn
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

space=${1:?usage: sbatch slurm.sh SPACE NAME [OPTIONS OF ffsnn search]}
name=${2:?usage: sbatch slurm.sh SPACE NAME [OPTIONS OF ffsnn search]}
shift 2

# A folder that outlives the job, such as one on NFS; FFSNN is the command where it is not on PATH.
export FFSNN_HOME=${FFSNN_HOME:-$PWD}
srun "${FFSNN:-ffsnn}" search "$space" --name "$name" --concurrency "${SLURM_CPUS_PER_TASK:-1}" "$@"
code=$?
if [ "$code" -eq 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
