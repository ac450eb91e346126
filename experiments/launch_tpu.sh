#!/usr/bin/env bash
# Copies this checkout to every worker of an existing TPU VM slice, installs it there,
# and starts or resumes a training run on all of them. It creates no machine.
#
#   experiments/launch_tpu.sh NAME ZONE [flags of experiments.train]
#   experiments/launch_tpu.sh my-slice us-central2-b \
#       --config=configs/abobakr2018/table1.py --workdir=gs://my-bucket/runs/cifar10
#
# Run it again after a preemption: training continues after the last checkpoint.
# GCLOUD names another gcloud; PROJECT another project than gcloud's own.
set -euo pipefail

if [[ $# -lt 3 ]]; then
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
shared=no
for flag in "$@"; do
  if [[ $flag == --workdir=*://* ]]; then shared=yes; fi
done
if [[ $shared == no ]]; then
  echo "error: --workdir must be on storage that all workers share, such as gs://..." >&2
  exit 2
fi

cd "$(dirname "$0")/.."
where=("$name" "--zone=$zone" "--worker=all" ${PROJECT:+"--project=$PROJECT"})
tpu=("${GCLOUD:-gcloud}" compute tpus tpu-vm)

archive=$(mktemp --suffix=.tar.gz)
trap 'rm -f "$archive"' EXIT
if [[ -n $(git status --porcelain) ]]; then
  echo "warning: the workers get the last commit, without what is not committed" >&2
fi
git archive --format=tar.gz --output="$archive" HEAD

"${tpu[@]}" scp "$archive" "$name:ssimjax.tar.gz" "${where[@]:1}"
"${tpu[@]}" ssh "${where[@]}" --command='
  set -e
  mkdir -p ssimjax && tar -xzf ssimjax.tar.gz -C ssimjax && cd ssimjax
  test -d .venv || python3 -m venv .venv
  .venv/bin/pip install --quiet -e ".[tpu,gcs]"
'
# Each argument quoted once more, for the shell of the worker.
printf -v flags ' %q' "$@"
"${tpu[@]}" ssh "${where[@]}" --command="
  cd ssimjax && exec .venv/bin/python -m experiments.train --distributed$flags
"
