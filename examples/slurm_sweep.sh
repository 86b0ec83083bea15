#!/bin/bash
# A sweep on Slurm: each task of the array takes the next combination that nobody trains. A task that is preempted,
# or at the end of its time, saves, and Slurm starts it again, where it goes on.
#
#   sbatch examples/slurm_sweep.sh configs/demo.py:bod
#
#SBATCH --job-name=sweep
#SBATCH --array=0-3
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@180
#SBATCH --open-mode=append
#SBATCH --output=sweep-%A_%a.log

srun bod-keras train --config="$1" \
  --sweep decoupling.ridge=0.03,0.1,0.3 --sweep seed=0,1,2
code=$?
# 128 + SIGTERM: saved, not finished. After a preemption Slurm does the same by itself.
if [ $code = 143 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit $code
