# Messages to be copied, for the scripts beside this file, which source it after bed.sh.
# shellcheck shell=bash

# Puts three thousand messages, lines ended by CRLF, into $bed/letters.
write_letters() {
  local archive=${INTERIMAP_REAL_MAIL:-../shared/real-mail.tar.xz}
  mkdir "$bed/letters"
  if [[ -e $archive ]]; then
    kind=real
    tar -xJf "$archive" -C "$bed/letters"
  else
    kind=generated
    awk -v directory="$bed/letters" 'BEGIN {
      for (number = 1; number <= 3000; number++) {
        file = sprintf("%s/%04d", directory, number)
        printf "From: sender%d@example.net\nTo: alice@example.org\nSubject: Letter %d\n", number % 97, number >file
        printf "Date: Mon, %d Mar 2025 10:00:00 +0000\nMessage-ID: <%d@example.net>\n\n", 1 + number % 28, number >file
        # From nothing to some 12 kB, four on the average.
        lines = (number * 7919 % 150) * (number % 3 + 1) / 4
        for (line = 0; line < lines; line++) {
          printf "Line %d of what the sender of letter %d has to say to Alice about it.\n", line, number >file
        }
        close(file)
      }
    }'
  fi
  find "$bed/letters" -type f -exec sed -s -i -e 's/\r*$/\r/' -e '$a\' {} +
  find "$bed/letters" -type f -printf '%s %p\n' | sort -k 2 >"$bed/letters.list"
  letters=$(wc -l <"$bed/letters.list")
  megabytes=$(awk '{ sum += $1 } END { printf "%.1f", sum / 1e6 }' "$bed/letters.list")
}
