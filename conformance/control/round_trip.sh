# 4000 rules through -R, -Sn and -R again: what is saved is what was restored, to the byte. Without tunnels: over socket
# options ipvsadm saves the type of a tunnel from memory that it has not set (the kernel does not give it one), so the text
# depends on what its heap held before.
rules() {
    awk 'BEGIN {
        split("rr wrr lc wlc", scheduler, " ")
        split("-m -g", method, " ")
        for (i = 0; i < 1000; i++) {
            service = sprintf("-%s 10.%d.%d.100:%d", i % 3 ? "t" : "u", i % 7, i % 251, 1000 + i)
            print "-A", service, "-s", scheduler[i % 4 + 1] (i % 5 ? "" : " -p " 60 + i)
            for (j = 1; j <= 3; j++)
                print "-a", service, "-r", sprintf("10.9.%d.%d:%d", i % 250, j, 1000 + i), method[(i + j) % 2 + 1], "-w", (i * j) % 100
        }
    }'
}
# A pipe's exit code is that of its last command, and what is compared is in files.
export -f rules
commands <<'LINES'
rules | wc -l
rules | sha256sum
rules | ipvsadm -R
ipvsadm -Sn >/tmp/saved.$CLIENT
wc -l </tmp/saved.$CLIENT
sha256sum </tmp/saved.$CLIENT
ipvsadm -C
ipvsadm -Sn
ipvsadm -R </tmp/saved.$CLIENT
ipvsadm -Sn | cmp - /tmp/saved.$CLIENT
ipvsadm -Ln | sha256sum
ipvsadm -Ln --stats | sha256sum
# over what is there, every line is refused and nothing changes
ipvsadm -R </tmp/saved.$CLIENT 2>&1 | sort | uniq -c
ipvsadm -Sn | cmp - /tmp/saved.$CLIENT
ipvsadm -C
ipvsadm -Ln
rm /tmp/saved.$CLIENT
LINES
