#!/bin/sh
# Prints .env.example with every empty password filled in at random.
set -eu
cd "$(dirname "$0")/.."
while IFS= read -r line; do
  case $line in
    \#*) ;;
    *_PASSWORD=) line=$line$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') ;;
  esac
  printf '%s\n' "$line"
done < .env.example
