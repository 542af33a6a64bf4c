# The built-in init: reap every orphan, forward every signal to all other processes.
# It has no memory of its own but the stack word that holds the signal set.
        .globl  _start
_start:
        push    $-1                     # all signals
        mov     $14, %eax               # rt_sigprocmask(SIG_BLOCK, set, NULL, 8)
        xor     %edi, %edi
        mov     %rsp, %rsi
        xor     %edx, %edx
        mov     $8, %r10d
        syscall
wait:
        mov     $128, %eax              # rt_sigtimedwait(set, NULL, NULL, 8)
        mov     %rsp, %rdi
        xor     %esi, %esi
        xor     %edx, %edx
        mov     $8, %r10d
        syscall
        cmp     $17, %eax               # SIGCHLD
        je      reap
        test    %eax, %eax
        jle     wait
        mov     %eax, %esi              # kill(-1, signal): all but ourselves
        mov     $-1, %rdi
        mov     $62, %eax
        syscall
        jmp     wait
reap:
        mov     $61, %eax               # wait4(-1, NULL, WNOHANG | __WALL, NULL)
        mov     $-1, %rdi
        xor     %esi, %esi
        mov     $0x40000001, %edx
        xor     %r10d, %r10d
        syscall
        test    %eax, %eax
        jg      reap
        jmp     wait
