"""Four processes, threads and a fork write at once; one process is killed in the middle."""
import os
import subprocess
import sys
import threading

import trainyard
code = '''
import sys, trainyard
which = sys.argv[1]
for i in range(int(sys.argv[2])):
    trainyard.log(which, i + 1)
    if which == "killed" and i == 2000:
        print("ready", flush=True)
'''
children = [subprocess.Popen([sys.executable, "-c", code, name, "5000"]) for name in ("one", "two", "three")]
killed = subprocess.Popen([sys.executable, "-c", code, "killed", "100000000"], stdout=subprocess.PIPE)
killed.stdout.readline()
killed.kill()
threads = [threading.Thread(target=lambda n=n: [trainyard.log("thread%d" % n, i + 1) for i in range(100)]) for n in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join()
forked = os.fork()
for i in range(1000): trainyard.log("parent" if forked else "child", i + 1)
if not forked: os._exit(0)
os.waitpid(forked, 0)
for child in children: assert child.wait() == 0
killed.wait()
