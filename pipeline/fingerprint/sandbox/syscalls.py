"""System calls that a worker may make, with their numbers on x86-64 and on arm64 (asm/unistd.h and asm-generic/unistd.h).

An allow list: what is not named here is refused, so a call that a newer kernel brings is refused before anybody here has
heard of it. A number above HIGHEST, the last that was read when this list was made, is answered with "no such call", as an older
kernel would, so that a newer libc falls back. Calls that are allowed only with harmless arguments are in seccomp.py.
"""

from __future__ import annotations

HIGHEST = 451

_TABLE = """
access 21 -, arch_prctl 158 -, brk 12 214, capget 125 90, clock_getres 229 114, clock_gettime 228 113,
clock_nanosleep 230 115, close 3 57, dup 32 23, exit 60 93, exit_group 231 94, faccessat 269 48, faccessat2 439 439,
fadvise64 221 223, fstat 5 80, fstatfs 138 44, futex 202 98, get_robust_list 274 100, getcpu 309 168, getcwd 79 17,
getdents64 217 61, getegid 108 177, geteuid 107 175, getgid 104 176, getpeername 52 205, getpgid 121 155, getpgrp 111 -,
getpid 39 172, getppid 110 173, getpriority 140 141, getrandom 318 278, getresgid 120 150, getresuid 118 148,
getrlimit 97 163, getrusage 98 165, getsid 124 156, getsockname 51 204, getsockopt 55 209, gettid 186 178,
gettimeofday 96 169, getuid 102 174, lseek 8 62, lstat 6 -, madvise 28 233, membarrier 324 283, mincore 27 232,
mmap 9 222, mprotect 10 226, mremap 25 216, msync 26 227, munmap 11 215, nanosleep 35 101, newfstatat 262 79, poll 7 -,
ppoll 271 73, pread64 17 67, preadv 295 69, pselect6 270 72, read 0 63, readlink 89 -, readlinkat 267 78, readv 19 65,
recvfrom 45 207, recvmsg 47 212, restart_syscall 219 128, rseq 334 293, rt_sigaction 13 134, rt_sigpending 127 136,
rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigtimedwait 128 137, sched_get_priority_max 146 125,
sched_get_priority_min 147 126, sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120,
sched_yield 24 124, select 23 -, sendto 44 206, set_robust_list 273 99, set_tid_address 218 96, setrlimit 160 164,
shutdown 48 210, sigaltstack 131 132, stat 4 -, statfs 137 43, statx 332 291, sysinfo 99 179, time 201 -, times 100 153,
uname 63 160, write 1 64, writev 20 66
"""

_ROWS = [entry.split() for entry in _TABLE.replace("\n", " ").split(",")]
X86_64 = {name: int(number) for name, number, _ in _ROWS if number != "-"}
ARM64 = {name: int(number) for name, _, number in _ROWS if number != "-"}
