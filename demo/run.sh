#!/usr/bin/env bash
# What `make demo` runs: predictions for variants and for intervals by Kipoi's own command, and three
# interpretations with a picture and a report. Offline, on the files of the repository; results in demo/output.
set -euo pipefail
cd "$(dirname "$0")/.."

output=demo/output
zoo=model_zoo/TFBind
examples=$zoo/example_data
genome=$examples/chr20.hg19.1-1Mb.fa.gz
export TF_CPP_MIN_LOG_LEVEL=3

# What TensorFlow says about this machine whatever it is told, and progress bars; all else is shown.
noise='^(WARNING: All log messages before absl|[IE]0000 .*(cuda|cpu_feature_guard|oneDNN)|To enable the following instructions)|(it/s|s/it)\]$'

# Print a command as it can be typed, in lines of a terminal's width, then run it.
run() {
    local argument line='$'
    for argument in "$@"; do
        case $argument in
            *\"*) argument="${argument%%=*}='${argument#*=}'" ;;
        esac
        if ((${#line} + ${#argument} > 100)); then
            printf '%s \\\n' "$line"
            line='   '
        fi
        line+=" $argument"
    done
    printf '%s\n' "$line"
    "$@" 2>&1 | { grep --line-buffered -vE "$noise" || [ $? -eq 1 ]; }
}

headline() { printf '\n== %s\n\n' "$*"; }

rm -rf "$output"
mkdir -p "$output"

headline "Which variants change the binding of CTCF?"
run kipoi predict $zoo/HepG2/variants --source=dir \
    --dataloader_args="{\"vcf_file\": \"$examples/variants.vcf.gz\", \"fasta_file\": \"$genome\"}" \
    -o "$output/variants.tsv" -m
python demo/show.py variants "$output/variants.tsv"

headline "Which intervals are bound?"
run kipoi predict $zoo/HepG2 --source=dir \
    --dataloader_args="{\"intervals_file\": \"$examples/ctcf_sites.bed\", \"fasta_file\": \"$genome\"}" \
    -o "$output/intervals.tsv" -m
python demo/show.py intervals "$output/intervals.tsv"

headline "Which bases does the model rest on?"
grep 'ctcf_site_[123][[:space:]]' "$examples"/ctcf_sites.bed >"$output/sites.bed"
run kipoi tfbind ism $zoo/CTCF-single --source dir --fasta "$genome" --intervals "$output/sites.bed" -o "$output/ism.nc"
run kipoi tfbind plot "$output/ism.nc" --sequence ctcf_site_2 --start 170 --end 230 -o "$output/ctcf_site_2.png"

headline "What does each base contribute, against shuffled sequences? Which bases act together?"
run kipoi tfbind deepshap $zoo/CTCF-single --source dir --fasta "$genome" \
    --intervals "$output/sites.bed" -o "$output/deepshap.nc"
run kipoi tfbind second-order-ism $zoo/CTCF-single --source dir --fasta "$genome" \
    --intervals "$output/sites.bed" --start 190 --end 215 -o "$output/epistasis.nc"
run kipoi tfbind report "$output/ism.nc" "$output/deepshap.nc" "$output/epistasis.nc" -o "$output/report.html"
