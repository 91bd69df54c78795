"""How the files of /proc/net/ip_vs* and /proc/sys/net/ipv4/vs behave under open, read, write, seek and truncate:
who may do what, and what partial, empty, multiple and out-of-place writes do."""
import errno
import os
import stat
import subprocess
import sys

SYSCTLS = "/proc/sys/net/ipv4/vs"


def show(label, call):
    try:
        print(f"{label}: {call()!r}")
    except OSError as error:
        print(f"{label}: {errno.errorcode[error.errno]}")
    sys.stdout.flush()


def put(name, *texts, flags=os.O_WRONLY, read_back=True):
    """Opens the setting once and writes each text with one write(2)."""
    path = f"{SYSCTLS}/{name}"
    results = []
    try:
        fd = os.open(path, flags)
        try:
            for text in texts:
                try:
                    results.append(os.write(fd, text))
                except OSError as error:
                    results.append(errno.errorcode[error.errno])
            results.append(("at", os.lseek(fd, 0, os.SEEK_CUR)))
        finally:
            os.close(fd)
    except OSError as error:
        results.append(errno.errorcode[error.errno])
    return results, open(path).read() if read_back else None


def put_at(name, text, offset):
    path = f"{SYSCTLS}/{name}"
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.pwrite(fd, text, offset), open(path).read()
    finally:
        os.close(fd)


def describe(path):
    st = os.lstat(path)
    return stat.filemode(st.st_mode), st.st_uid, st.st_gid, st.st_size, st.st_nlink, st.st_blocks, st.st_blksize


def as_user(call, uid=65534, groups=(), gid=65534):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        try:
            text = repr(call())
        except OSError as error:
            text = errno.errorcode[error.errno]
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    text = os.read(read, 65536).decode()
    os.waitpid(child, 0)
    return text


def sh(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


subprocess.run(["sh", "-c", "ipvsadm -A -t 10.0.0.1:80 -s rr; modprobe ip_vs_lblc ip_vs_lblcr"], check=False)

print("## attributes")
for path in [SYSCTLS, f"{SYSCTLS}/drop_entry", f"{SYSCTLS}/sync_threshold"] + [
        f"/proc/net/{name}" for name in sorted(os.listdir("/proc/net")) if name.startswith("ip_vs")]:
    show(path, lambda: describe(path))
show("/proc/net", lambda: describe("/proc/net/"))
show("listing", lambda: os.listdir(SYSCTLS))
show("mtime now", lambda: abs(os.stat(f"{SYSCTLS}/drop_entry").st_mtime - __import__("time").time()) < 100)

print("## reading")
show("one byte at a time", lambda: open(f"{SYSCTLS}/sync_threshold", "rb", buffering=0).read(1))


def pieces(path, size):
    fd = os.open(path, os.O_RDONLY)
    out = []
    while piece := os.read(fd, size):
        out.append(piece)
        if len(out) > 60:
            break
    os.close(fd)
    return out


show("setting in pieces of 2", lambda: pieces(f"{SYSCTLS}/sync_threshold", 2))
show("setting in pieces of 4", lambda: pieces(f"{SYSCTLS}/sync_threshold", 4))
show("ip_vs_stats in pieces of 50", lambda: pieces("/proc/net/ip_vs_stats", 50))
show("setting pread at 2", lambda: os.pread(os.open(f"{SYSCTLS}/sync_threshold", os.O_RDONLY), 100, 2))
show("ip_vs pread at 10", lambda: os.pread(os.open("/proc/net/ip_vs", os.O_RDONLY), 20, 10))
show("ip_vs lseek end", lambda: os.lseek(os.open("/proc/net/ip_vs", os.O_RDONLY), 0, os.SEEK_END))
show("setting lseek end", lambda: os.lseek(os.open(f"{SYSCTLS}/drop_entry", os.O_RDONLY), 0, os.SEEK_END))


def reread(path, change):
    fd = os.open(path, os.O_RDONLY)
    before = os.read(fd, 4096)
    change()
    os.lseek(fd, 0, os.SEEK_SET)
    after = os.read(fd, 4096)
    os.close(fd)
    return before, after


def open_then_change(path, change):
    fd = os.open(path, os.O_RDONLY)
    change()
    text = os.read(fd, 4096)
    os.close(fd)
    return text


put("drop_entry", b"0")
show("setting reread after a change", lambda: reread(f"{SYSCTLS}/drop_entry", lambda: put("drop_entry", b"1")))
show("setting read after open, then change", lambda: open_then_change(f"{SYSCTLS}/drop_entry", lambda: put("drop_entry", b"2")))
show("ip_vs reread after a change", lambda: reread("/proc/net/ip_vs", lambda: sh("ipvsadm -A -t 10.0.0.2:80 -s rr")))
show("ip_vs read after open, then change", lambda: open_then_change("/proc/net/ip_vs", lambda: sh("ipvsadm -D -t 10.0.0.2:80")))
put("drop_entry", b"0")

print("## writing a setting")
for text in [b"1\n", b"2", b"", b"\n", b" ", b"  3 \n", b"1 2", b"1 x", b"x", b"1x", b"4", b"-1", b"+1", b"0x2", b"010",
             b"1\x00", b"1\x002", b"\x00", b"1\t", b"1\n2\n", b"1,2", b"99999999999", b"4294967296", b"--1", b"- 1",
             b"0" * 30 + b"1", b"1" + b" " * 5000, b" " * 5000 + b"1", b" " * 4095 + b"1", b" " * 4094 + b"1", b" " * 70000 + b"1"]:
    put("drop_entry", b"0")
    label = repr(text) if len(text) < 40 else f"{len(text)} bytes {text[:3]!r}..{text[-3:]!r}"
    show(f"drop_entry {label}", lambda: put("drop_entry", text))
put("drop_entry", b"0")
show("two writes", lambda: put("drop_entry", b"1", b"2"))
show("two writes, newlines", lambda: put("drop_entry", b"1\n", b"2\n"))
show("empty, then a value", lambda: put("drop_entry", b"", b"3"))
show("refused, then a value", lambda: put("drop_entry", b"9", b"2"))
show("at offset 1", lambda: put_at("drop_entry", b"1", 1))
show("at offset 0", lambda: put_at("drop_entry", b"1", 0))
show("O_TRUNC", lambda: put("drop_entry", b"2", flags=os.O_WRONLY | os.O_TRUNC))
show("O_APPEND", lambda: put("drop_entry", b"3", flags=os.O_WRONLY | os.O_APPEND))
show("O_APPEND twice", lambda: put("drop_entry", b"1", b"2", flags=os.O_WRONLY | os.O_APPEND))
show("O_CREAT", lambda: put("drop_entry", b"1", flags=os.O_WRONLY | os.O_CREAT))
show("O_CREAT|O_EXCL", lambda: put("drop_entry", b"1", flags=os.O_WRONLY | os.O_CREAT | os.O_EXCL))
show("O_RDWR", lambda: put("drop_entry", b"2", flags=os.O_RDWR))


def read_then_write():
    fd = os.open(f"{SYSCTLS}/drop_entry", os.O_RDWR)
    before = os.read(fd, 10)
    try:
        wrote = os.write(fd, b"1")
    except OSError as error:
        wrote = errno.errorcode[error.errno]
    after = os.read(fd, 10)
    os.close(fd)
    return before, wrote, after, open(f"{SYSCTLS}/drop_entry").read()


def write_then_read():
    fd = os.open(f"{SYSCTLS}/drop_entry", os.O_RDWR)
    wrote = os.write(fd, b"3")
    rest = os.read(fd, 10)
    os.lseek(fd, 0, os.SEEK_SET)
    whole = os.read(fd, 10)
    os.close(fd)
    return wrote, rest, whole


show("read, then write", read_then_write)
show("write, then read", write_then_read)
for strict in [b"0", b"-1", b"1"]:
    def strictly():
        with open("/proc/sys/kernel/sysctl_writes_strict", "wb", buffering=0) as file:
            file.write(strict)
        return put("drop_entry", b"1", b"2"), put("drop_entry", b"3", b"", b"0")
    show(f"sysctl_writes_strict {strict}: two writes; a value, nothing, a value", strictly)
    show(f"sysctl_writes_strict {strict}: at offset 1", lambda: put_at("drop_entry", b"1", 1))
for text in [b"5 60", b"5\t60\n", b"5", b"7 ", b"5 60 70", b"5 x", b"x 5", b"60 5", b"0 0", b"-1 5", b"", b"9\n60\n"]:
    put("sync_threshold", b"3 50")
    show(f"sync_threshold {text!r}", lambda: put("sync_threshold", text))
show("sync_threshold two writes", lambda: put("sync_threshold", b"4 ", b"70"))
for text in [b"5 6", b"5\n6\n", b"5 ", b"5\t\n ", b"x", b" 5", b"", b"-5", b"5x", b"18446744073709551615", b"5" + b" " * 5000, b"5 " * 3000]:
    for name in ["am_droprate", "sync_qlen_max"]:
        put(name, b"77")
        label = repr(text) if len(text) < 40 else f"{len(text)} bytes {text[:3]!r}..{text[-3:]!r}"
        show(f"{name} {label}", lambda: put(name, text))
for name in ["am_droprate", "sync_qlen_max", "sync_threshold", "drop_entry", "sync_ports", "lblc_expiration"]:
    put(name, b"1 8")
    show(f"{name} 'x' at offset 3", lambda: put_at(name, b"x", 3))
    show(f"{name}: two writes on an append handle", lambda: put(name, b"2", b"1", flags=os.O_WRONLY | os.O_APPEND))
    show(f"{name}: pieces", lambda: pieces(f"{SYSCTLS}/{name}", 1))
show("sync_threshold 5000 blanks inside", lambda: put("sync_threshold", b"1" + b" " * 5000 + b"9"))
show("sync_threshold 4092 blanks inside", lambda: put("sync_threshold", b"1" + b" " * 4092 + b"923"))
show("ftruncate", lambda: os.ftruncate(os.open(f"{SYSCTLS}/drop_entry", os.O_WRONLY), 0))
show("truncate", lambda: os.truncate(f"{SYSCTLS}/drop_entry", 0))
show("sh: echo 1 >", lambda: sh(f"echo 1 > {SYSCTLS}/drop_entry; cat {SYSCTLS}/drop_entry"))
show("sh: echo -n 2 >>", lambda: sh(f"printf 2 >> {SYSCTLS}/drop_entry; cat {SYSCTLS}/drop_entry"))
show("sh: echo 9 >", lambda: sh(f"LC_ALL=C; export LC_ALL; /bin/echo 9 > {SYSCTLS}/drop_entry; cat {SYSCTLS}/drop_entry"))
show("sysctl -w", lambda: sh("sysctl -w net.ipv4.vs.drop_entry=1; sysctl net.ipv4.vs.drop_entry net.ipv4.vs.sync_threshold"))
show("sysctl -w out of range", lambda: sh("sysctl -w net.ipv4.vs.drop_entry=9"))
show("sysctl -w unknown", lambda: sh("sysctl -w net.ipv4.vs.nothing=9"))
show("sysctl -a", lambda: sh("sysctl -a 2>&1 | grep '^net.ipv4.vs'"))

print("## what a directory and a file refuse")
show("create in vs", lambda: os.open(f"{SYSCTLS}/new", os.O_WRONLY | os.O_CREAT))
show("open of nothing", lambda: os.open(f"{SYSCTLS}/new", os.O_RDONLY))
show("mkdir in vs", lambda: os.mkdir(f"{SYSCTLS}/new"))
show("unlink", lambda: os.unlink(f"{SYSCTLS}/drop_entry"))
show("rename", lambda: os.rename(f"{SYSCTLS}/drop_entry", f"{SYSCTLS}/x"))
show("chmod setting", lambda: os.chmod(f"{SYSCTLS}/drop_entry", 0o600))
show("chown setting", lambda: os.chown(f"{SYSCTLS}/drop_entry", 1, 1))
show("utime setting", lambda: os.utime(f"{SYSCTLS}/drop_entry"))
show("getxattr setting", lambda: os.getxattr(f"{SYSCTLS}/drop_entry", "user.x"))
show("listxattr setting", lambda: os.listxattr(f"{SYSCTLS}/drop_entry"))
show("vs access W", lambda: (os.access(SYSCTLS, os.W_OK), os.access(SYSCTLS, os.X_OK | os.R_OK)))
show("/proc/net access W", lambda: (os.access("/proc/net/", os.W_OK), os.access("/proc/net/", os.X_OK | os.R_OK)))
show("setting access RW", lambda: os.access(f"{SYSCTLS}/drop_entry", os.R_OK | os.W_OK))
show("setting truncate by nobody", lambda: as_user(lambda: os.truncate(f"{SYSCTLS}/drop_entry", 0)))
show("setting utime by nobody", lambda: as_user(lambda: os.utime(f"{SYSCTLS}/drop_entry", (1, 1))))
show("setting chmod by nobody", lambda: as_user(lambda: os.chmod(f"{SYSCTLS}/drop_entry", 0o777)))
show("ip_vs truncate", lambda: os.truncate("/proc/net/ip_vs", 0))
show("ip_vs chmod", lambda: os.chmod("/proc/net/ip_vs", 0o444))
show("rmdir vs", lambda: os.rmdir(SYSCTLS))
show("symlink in vs", lambda: os.symlink("x", f"{SYSCTLS}/new"))
show("link in vs", lambda: os.link(f"{SYSCTLS}/drop_entry", f"{SYSCTLS}/new"))
show("mknod in vs", lambda: os.mknod(f"{SYSCTLS}/new"))
show("rename over", lambda: os.rename(f"{SYSCTLS}/drop_entry", f"{SYSCTLS}/drop_packet"))
show("create in /proc/net", lambda: os.open("/proc/net/new", os.O_WRONLY | os.O_CREAT))
show("mkdir in /proc/net", lambda: os.mkdir("/proc/net/new"))
show("unlink /proc/net/ip_vs", lambda: os.unlink("/proc/net/ip_vs"))
show("rename /proc/net/ip_vs", lambda: os.rename("/proc/net/ip_vs", "/proc/net/x"))
show("unlink nothing", lambda: os.unlink(f"{SYSCTLS}/new"))
show("open setting O_DIRECTORY", lambda: os.open(f"{SYSCTLS}/drop_entry", os.O_DIRECTORY))
show("open vs for writing", lambda: os.open(SYSCTLS, os.O_WRONLY))
show("fsync", lambda: os.fsync(os.open(f"{SYSCTLS}/drop_entry", os.O_WRONLY)))
show("ip_vs for writing", lambda: os.open("/proc/net/ip_vs", os.O_WRONLY))
show("ip_vs O_TRUNC", lambda: os.open("/proc/net/ip_vs", os.O_RDWR | os.O_TRUNC))
show("ip_vs write", lambda: os.write(os.open("/proc/net/ip_vs", os.O_WRONLY), b"1"))
show("ip_vs access W", lambda: os.access("/proc/net/ip_vs", os.W_OK))
show("setting access X", lambda: os.access(f"{SYSCTLS}/drop_entry", os.X_OK))
show("execute setting", lambda: os.execv(f"{SYSCTLS}/drop_entry", ["x"]))

print("## other users")
for name, path in [("setting", f"{SYSCTLS}/drop_entry"), ("ip_vs", "/proc/net/ip_vs"), ("ip_vs_conn", "/proc/net/ip_vs_conn"),
                   ("ip_vs_stats", "/proc/net/ip_vs_stats"), ("ip_vs_app", "/proc/net/ip_vs_app")]:
    show(f"nobody reads {name}", lambda: as_user(lambda: len(os.read(os.open(path, os.O_RDONLY), 4096)) > 0))
    show(f"nobody opens {name} for writing", lambda: as_user(lambda: os.open(path, os.O_WRONLY)))
    show(f"nobody, of group 0, opens {name} for writing", lambda: as_user(lambda: os.open(path, os.O_WRONLY), gid=0))
    show(f"nobody, access", lambda: as_user(lambda: (os.access(path, os.R_OK), os.access(path, os.W_OK))))
show("nobody lists", lambda: as_user(lambda: len(os.listdir(SYSCTLS))))
show("nobody: sysctl -w", lambda: sh("setpriv --reuid 65534 --clear-groups sysctl -w net.ipv4.vs.drop_entry=1"))
show("root without capabilities reads", lambda: sh(f"setpriv --bounding-set -all --inh-caps -all cat {SYSCTLS}/drop_entry /proc/net/ip_vs"))
show("root without capabilities writes", lambda: sh(f"setpriv --bounding-set -all --inh-caps -all sh -c 'echo 1 > {SYSCTLS}/drop_entry'"))
show("nobody with CAP_NET_ADMIN writes", lambda: sh(
    f"setpriv --reuid 65534 --clear-groups --inh-caps +net_admin --ambient-caps +net_admin sh -c 'echo 2 > {SYSCTLS}/drop_entry'; cat {SYSCTLS}/drop_entry"))
show("nobody with CAP_DAC_OVERRIDE writes", lambda: sh(
    f"setpriv --reuid 65534 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override sh -c 'echo 3 > {SYSCTLS}/drop_entry'; cat {SYSCTLS}/drop_entry"))

print("## in a user and network namespace")
show("attributes", lambda: sh(f"unshare -Urn sh -c 'stat -c \"%A %u %g %n\" {SYSCTLS} {SYSCTLS}/* /proc/net/ip_vs*'"))
show("as root there", lambda: sh(f"unshare -Urn sh -c 'echo 1 > {SYSCTLS}/drop_entry; cat {SYSCTLS}/drop_entry; head -1 /proc/net/ip_vs'"))
show("as nobody, root there", lambda: sh(f"setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urn sh -c 'id -u; stat -c \"%A %u %g %n\" {SYSCTLS} {SYSCTLS}/drop_entry; echo 1 > {SYSCTLS}/drop_entry; cat {SYSCTLS}/drop_entry; head -1 /proc/net/ip_vs'"))
show("user namespace alone", lambda: sh(f"unshare -Ur sh -c 'stat -c \"%A %u %g %n\" {SYSCTLS} {SYSCTLS}/drop_entry; echo 1 > {SYSCTLS}/drop_entry; cat {SYSCTLS}/drop_entry'"))
show("another network namespace", lambda: sh("unshare -n sh -c 'sysctl -w net.ipv4.vs.drop_entry=3'; sysctl net.ipv4.vs.drop_entry"))
