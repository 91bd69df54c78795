# Helpers of the recording scripts, which run as root on a kernel with IPVS and with Debian's ipvsadm 1.31, this folder
# as /in. Each command is printed with its output and exit code:
#   $ ipvsadm -A -t 10.0.0.1:80   => ok        (silent and 0), or
#   $ ipvsadm -D -t 10.0.0.1:80
#     i| what it read on standard input
#     o| what it wrote to standard output
#     e| what it wrote to standard error
#     rc=255
printf '%s\n' '10.9.9.9 web' '10.9.9.10 app app.example' '2001:db8::99 web6' '10.9.9.11 exactlytwentyfivecharacte' \
  '10.9.9.12 a-rather-long-host-name.with-a-domain.example' '2001:db8::98 another-rather-long-name.with-a-domain.example' >> /etc/hosts
lines() { local line; while IFS= read -r line || [ -n "$line" ]; do printf '  %s| %s\n' "$1" "$line"; done < "$2"; }
words() { local word text=; for word in "$@"; do case $word in *[!A-Za-z0-9_./:,=+@%\[\]-]*|'') text+=" '$word'";; *) text+=" $word";; esac; done; printf '%s' "${text# }"; }
try() {
  "$@" > /tmp/output 2> /tmp/errors < /tmp/input; local code=$?
  if [ $code = 0 ] && ! [ -s /tmp/output ] && ! [ -s /tmp/errors ] && ! [ -s /tmp/input ]; then printf '$ %s   => ok\n' "$(words "$@")"
  else printf '$ %s\n' "$(words "$@")"; lines i /tmp/input; lines o /tmp/output; lines e /tmp/errors; echo "  rc=$code"; fi
}
# t WORD...: ipvsadm with these words
t() { : > /tmp/input; try ipvsadm "$@"; }
# restore TEXT: ipvsadm -R reading TEXT (printf's escapes)
restore() { printf -- "$1" > /tmp/input; try ipvsadm -R; }
h() { echo; echo "#### $*"; }
