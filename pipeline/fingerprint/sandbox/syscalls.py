"""System calls that a worker may not make, with their numbers on x86-64 and on arm64 (asm/unistd.h of Linux 6.1).

A block list, not an allow list: allow lists break with every new libc (GNOME glycin 2.2 changed to a block list for
that reason); what matters is named here. Calls that are allowed only with harmless arguments are in seccomp.py.
"""

from __future__ import annotations

_TABLE = """
accept 43 202, accept4 288 242, acct 163 89, add_key 248 217, adjtimex 159 171, bind 49 200, bpf 321 280,
chmod 90 -, chown 92 -, chroot 161 51, clock_adjtime 305 266, clock_settime 227 112, connect 42 203, creat 85 -, delete_module 176 106, execve 59 221, execveat 322 281, fallocate 285 47,
fanotify_init 300 262, fchmod 91 52, fchmodat 268 53, fchown 93 55, fchownat 260 54, finit_module 313 273,
fork 57 -, fremovexattr 199 16, fsconfig 431 431, fsetxattr 190 7, fsmount 432 432, fsopen 430 430,
ftruncate 77 46, futimesat 261 -, init_module 175 105, inotify_init 253 -, inotify_init1 294 26,
io_uring_enter 426 426, io_uring_register 427 427, io_uring_setup 425 425, ioperm 173 -, iopl 172 -,
kexec_file_load 320 294, kexec_load 246 104, keyctl 250 219, landlock_create_ruleset 444 444, lchown 94 -,
link 86 -, linkat 265 37, listen 50 201, lremovexattr 198 15, lsetxattr 189 6, memfd_create 319 279,
memfd_secret 447 447, mkdir 83 -, mkdirat 258 34, mknod 133 -, mknodat 259 33, mount 165 40, move_mount 429 429,
mq_open 240 180, mq_unlink 241 181, msgctl 71 187, msgget 68 186, msgrcv 70 188, msgsnd 69 189,
name_to_handle_at 303 264, open_by_handle_at 304 265, open_tree 428 428, perf_event_open 298 241,
personality 135 92, pidfd_getfd 438 438, pidfd_open 434 434, pidfd_send_signal 424 424, pivot_root 155 41,
process_madvise 440 440, process_vm_readv 310 270, process_vm_writev 311 271, ptrace 101 117, quotactl 179 60,
reboot 169 142, recvmmsg 299 243, removexattr 197 14, rename 82 -, renameat 264 38, renameat2 316 276,
request_key 249 218, rmdir 84 -, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, seccomp 317 277,
semctl 66 191, semget 64 190, semop 65 193, sendmmsg 307 269, sendmsg 46 211, setdomainname 171 162,
setgid 106 144, setgroups 116 159, sethostname 170 161, setns 308 268, setpgid 109 154, setresgid 119 149,
setresuid 117 147, setsid 112 157, settimeofday 164 170, setuid 105 146, setxattr 188 5, shmat 30 196,
shmctl 31 195, shmget 29 194, socket 41 198, socketpair 53 199, swapoff 168 225, swapon 167 224, symlink 88 -,
symlinkat 266 36, syslog 103 116, tkill 200 130, truncate 76 45, umount2 166 39, unlink 87 -, unlinkat 263 35,
unshare 272 97, userfaultfd 323 282, utime 132 -, utimensat 280 88, utimes 235 -, vfork 58 -, vhangup 153 58
"""

_ROWS = [entry.split() for entry in _TABLE.replace("\n", " ").split(",")]
X86_64 = {name: int(number) for name, number, _ in _ROWS if number != "-"}
ARM64 = {name: int(number) for name, _, number in _ROWS if number != "-"}
