#!/usr/bin/python3
"""A LAN of real hosts in namespaces of this process: `unshare --net --mount --pid --fork --kill-child lab.py FOLDER HOSTS [OPTION…]`.

Each host has its own network, processes, hostname, home, /tmp, /run, boot id and sshd; the machine's own network, users and
files are not touched. Reads a JSON object a line on stdin and answers each with one; ends, and everything with it, at the
end of stdin. Options: shared (one home for all), password (sshd takes the password as well as the key)."""
import array
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid

FOLDER, COUNT, OPTIONS = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
USER, UID, PASSWORD = "lab", 54321, "open sesame"
HERE = os.path.dirname(os.path.abspath(__file__))
libc = ctypes.CDLL(None, use_errno=True)
hosts = {}
links = {}


def sh(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(" ".join(command) + ": " + done.stderr.strip())
    return done.stdout


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def address(i):
    return f"10.77.0.{10 + i}"


def there(link):
    # /sys shows the network that it was mounted in.
    return subprocess.run(["ip", "link", "show", link], capture_output=True).returncode == 0


def own(path):
    for folder, _, files in os.walk(path):
        os.chown(folder, UID, UID)
        for file in files:
            os.chown(os.path.join(folder, file), UID, UID)


def home(i):
    return f"{FOLDER}/home.{0 if 'shared' in OPTIONS else i}"


def prepare():
    for key in ("hostkey", "otherkey", "id"):
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{FOLDER}/{key}")
    with open("/etc/passwd") as file:
        write(f"{FOLDER}/passwd", file.read() + f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/bash\nsecond:x:{UID + 1}:{UID}::/home/{USER}:/bin/bash\n", 0o644)
    with open("/etc/group") as file:
        write(f"{FOLDER}/group", file.read() + f"{USER}:x:{UID}:\n", 0o644)
    with open("/etc/shadow") as file:
        secret = sh("openssl", "passwd", "-6", PASSWORD).strip()
        write(f"{FOLDER}/shadow", file.read() + f"{USER}:{secret}:19000:0:99999:7:::\nsecond:*:19000:0:99999:7:::\n", 0o600)
    write(f"{FOLDER}/hosts", "127.0.0.1 localhost\n" + "".join(f"{address(i)} node{i}\n" for i in range(1, COUNT + 1)), 0o644)
    with open(f"{FOLDER}/id.pub") as file:
        public = file.read()
    with open(f"{FOLDER}/hostkey.pub") as file:
        host_key = " ".join(file.read().split()[:2])
    known = "".join(f"node{i},{address(i)} {host_key}\n" for i in range(1, COUNT + 1))
    write(f"{FOLDER}/known_hosts", known)
    # MaxSessions and MaxStartups stay as they are by default.
    write(f"{FOLDER}/sshd_config", "\n".join([
        "Port 22", "HostKey /run/lab/hostkey", "AuthorizedKeysFile /run/lab/authorized_keys", "StrictModes no", "UsePAM no",
        "PidFile none", f"PasswordAuthentication {'yes' if 'password' in OPTIONS else 'no'}", "KbdInteractiveAuthentication no",
        "ClientAliveInterval 5", "ClientAliveCountMax 2", "Subsystem sftp internal-sftp", ""]))
    for i in range(1, COUNT + 1):
        os.makedirs(f"{home(i)}/.ssh", exist_ok=True)
        write(f"{home(i)}/.ssh/known_hosts", known)
        write(f"{home(i)}/.ssh/authorized_keys", public)
        with open(f"{FOLDER}/id") as file:
            write(f"{home(i)}/.ssh/id_ed25519", file.read())
        own(home(i))
    proxy = f"/usr/bin/python3 -ISE {HERE}/connect.py {FOLDER}/connect %h %p"
    config = "".join(f"Host node{i}\n  HostName {address(i)}\n" for i in range(1, COUNT + 1))
    config += "\n".join(["Host *", f"  User {USER}", f"  IdentityFile {FOLDER}/id", "  IdentitiesOnly yes",
                         "  PreferredAuthentications publickey", f"  UserKnownHostsFile {FOLDER}/known_hosts",
                         "  GlobalKnownHostsFile none", f"  ProxyCommand {proxy}", "  ProxyUseFdpass yes", ""])
    write(f"{FOLDER}/ssh_config", config)
    write(f"{FOLDER}/ssh", f"#!/bin/sh\nexec ssh -F {FOLDER}/ssh_config \"$@\"\n", 0o700)
    os.makedirs(f"{FOLDER}/run", mode=0o700, exist_ok=True)


def boot(i):
    folder = f"{FOLDER}/h{i}"
    os.makedirs(f"{folder}/tmp", exist_ok=True)
    os.chmod(f"{folder}/tmp", 0o1777)
    write(f"{folder}/boot_id", str(uuid.uuid4()) + "\n", 0o444)
    init = f"""#!/bin/bash
set -e
hostname node{i}
mount --make-rprivate /
mount -t proc proc /proc
mount --bind {folder}/boot_id /proc/sys/kernel/random/boot_id
mount -t tmpfs -o mode=755 tmpfs /run
# A copy of the whole folder: from single files the kernel takes the mounts away as soon as somebody on this machine replaces
# the file below, as useradd does, and from then on nobody may log in here.
mkdir -p /run/lab/etc
cp -a /etc/. /run/lab/etc 2>/dev/null || true
for file in passwd group shadow hosts; do cp -p --remove-destination {FOLDER}/$file /run/lab/etc/$file; done
mount --bind /run/lab/etc /etc
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /home
mkdir -p /home/{USER} /run/sshd
mount --bind {home(i)} /home/{USER}
mount --bind {folder}/tmp /tmp
cp {FOLDER}/sshd_config /run/lab/sshd_config
cp {FOLDER}/h{i}/hostkey /run/lab/hostkey
cp {FOLDER}/id.pub /run/lab/authorized_keys
chmod 600 /run/lab/hostkey
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
cd /
set +e
# The first process of a host takes in what lost its parent.
/usr/sbin/sshd -D -e -f /run/lab/sshd_config &
echo up
exec </dev/null
trap 'exit 0' TERM
while :; do wait -n 2>/dev/null || sleep 0.2; done
"""
    if not os.path.exists(f"{folder}/hostkey"):
        with open(f"{FOLDER}/hostkey") as file:
            write(f"{folder}/hostkey", file.read())
    write(f"{folder}/init.sh", init, 0o700)
    log = open(f"{folder}/log", "ab")
    starter = subprocess.Popen(
        ["unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "/bin/bash", "-c",
         # The network comes from outside once this namespace is there.
         f"read -r go && exec /bin/bash {folder}/init.sh"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    pid = None
    for _ in range(500):
        children = open(f"/proc/{starter.pid}/task/{starter.pid}/children").read().split()
        if children:
            pid = int(children[0])
            break
        time.sleep(0.01)
    if pid is None:
        raise RuntimeError(f"host {i} does not start")
    hosts[i] = (starter, pid)
    sh("ip", "link", "add", f"v{i}", "type", "veth", "peer", "name", f"p{i}")
    sh("ip", "link", "set", f"v{i}", "master", "br0", "up")
    sh("ip", "link", "set", f"p{i}", "netns", str(pid))
    inside = ["nsenter", "-t", str(pid), "-n", "ip"]
    sh(*inside, "link", "set", f"p{i}", "name", "eth0")
    sh(*inside, "addr", "add", f"{address(i)}/24", "dev", "eth0")
    sh(*inside, "link", "set", "eth0", "up")
    sh(*inside, "link", "set", "lo", "up")
    starter.stdin.write(b"go\n")
    starter.stdin.flush()
    if starter.stdout.readline() != b"up\n":
        raise RuntimeError(f"host {i} does not come up; see {folder}/log")
    for _ in range(500):
        try:
            socket.create_connection((address(i), 22), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"host {i} has no sshd")


def crash(i):
    starter, pid = hosts.pop(i)
    os.kill(pid, signal.SIGKILL)
    starter.wait()
    links.pop(i, None)
    # The kernel takes the cables of a namespace away a little after its last process.
    for _ in range(500):
        left = [name for name in (f"v{i}", f"s{i}") if subprocess.run(["ip", "link", "del", name], capture_output=True).returncode == 0]
        if not left and not there(f"v{i}") and not there(f"s{i}"):
            return
        time.sleep(0.01)


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))  # TUNSETIFF: TAP, no packet info
    return fd


def slow(i, delay, loss):
    """The kernel has no netem: the host's cable becomes two taps and a queue between them."""
    if links.get(i):
        links[i] = (delay, loss)
        return
    _, pid = hosts[i]
    here = tap(f"s{i}")
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        with open(f"/proc/{pid}/ns/net") as file:
            if libc.setns(file.fileno(), 0x40000000) != 0:
                os._exit(1)
        theirs.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [tap("slow")]))])
        os._exit(0)
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    os.waitpid(child, 0)
    there = array.array("i", ancillary[0][2])[0]
    sh("ip", "link", "set", f"s{i}", "master", "br0", "up")
    inside = ["nsenter", "-t", str(pid), "-n", "ip"]
    sh(*inside, "link", "set", "eth0", "down")
    sh(*inside, "addr", "flush", "dev", "eth0")
    sh(*inside, "addr", "add", f"{address(i)}/24", "dev", "slow")
    sh(*inside, "link", "set", "slow", "up")
    links[i] = (delay, loss)
    sh("ip", "neigh", "flush", "dev", "br0")
    threading.Thread(target=forward, args=(i, here, there), daemon=True).start()


def forward(i, here, there):
    queue, n, peer = [], 0, {here: there, there: here}
    while link := links.get(i):
        delay, loss = link
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, fd, packet = heapq.heappop(queue)
            try:
                os.write(fd, packet)
            except OSError:
                pass
        wait = max(0.0, queue[0][0] - time.monotonic()) if queue else 0.5
        try:
            ready, _, _ = select.select([here, there], [], [], min(wait, 0.5))
        except OSError:
            return
        for fd in ready:
            for _ in range(64):
                try:
                    packet = os.read(fd, 65536)
                except OSError:
                    break
                if random.random() >= loss:
                    n += 1
                    heapq.heappush(queue, (time.monotonic() + delay, n, peer[fd], packet))


def connections():
    """For ProxyCommand: makes a connection in here and hands its descriptor out."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{FOLDER}/connect")
    listener.listen(64)

    def serve(client):
        with client:
            name, port = client.recv(1024).decode().split()
            try:
                made = socket.create_connection((name, int(port)), 3)
            except OSError as error:
                client.sendall(str(error).encode())
                return
            with made:
                made.setblocking(True)
                client.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [made.fileno()]))])

    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


def run(i, argv, limit):
    _, pid = hosts[i]
    done = subprocess.run(["nsenter", "-t", str(pid), "-a", "--", *argv], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=limit)
    return {"exit": done.returncode, "out": done.stdout.decode("utf-8", "replace"), "err": done.stderr.decode("utf-8", "replace")}


def act(order):
    what, i = order["do"], order.get("host", 0)
    if what in ("cut", "heal") and i == 0:
        # The cable of the machine that the hosts are reached from; they still reach each other.
        sh("ip", "addr", "del" if what == "cut" else "add", "10.77.0.1/24", "dev", "br0")
    elif what == "cut":
        for link in (f"v{i}", f"s{i}"):
            if there(link):
                sh("ip", "link", "set", link, "down")
    elif what == "heal":
        for link in (f"v{i}", f"s{i}"):
            if there(link):
                sh("ip", "link", "set", link, "up")
    elif what == "crash":
        crash(i)
    elif what == "boot":
        boot(i)
    elif what == "slow":
        slow(i, order["delay"], order["loss"])
    elif what == "rekey":
        with open(f"{FOLDER}/otherkey") as file:
            write(f"{FOLDER}/h{i}/hostkey", file.read())
    elif what == "run":
        return run(i, order["argv"], order.get("limit", 30))
    else:
        raise RuntimeError("unknown order " + what)
    return {}


def main():
    # A /proc of these processes, so that a pid here is what /proc shows.
    sh("mount", "--make-rprivate", "/")
    sh("mount", "-t", "proc", "proc", "/proc")
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
    sh("ip", "addr", "add", "10.77.0.1/24", "dev", "br0")
    sh("ip", "link", "set", "br0", "up")
    prepare()
    for i in range(1, COUNT + 1):
        boot(i)
    threading.Thread(target=connections, daemon=True).start()
    while not os.path.exists(f"{FOLDER}/connect"):
        time.sleep(0.005)
    print(json.dumps({"up": COUNT}), flush=True)
    for line in sys.stdin:
        try:
            print(json.dumps(act(json.loads(line))), flush=True)
        except Exception as error:  # The test that gave the order is told.
            print(json.dumps({"error": str(error)}), flush=True)


try:
    main()
except Exception as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(1)
