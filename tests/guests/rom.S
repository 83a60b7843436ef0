/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A firmware's file: a volume for variables, then the code's, whose last bytes are where a CPU
 * starts (rom.c has both lengths). IMAGE: the guest, linked at 1 MiB, which is copied there.
 */
    .section .rom, "ax"
#define VARS_LEN 0x4000
#define CODE_LEN 0x10000
#define AT(label) (0xffff0000 + (label) - code)
vars:                               /* EFI_FIRMWARE_VOLUME_HEADER, UEFI PI 1.7 vol 3, 3.2.1 */
    .fill 16, 1, 0
    .byte 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c    /* a volume with variables */
    .byte 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50
    .quad VARS_LEN
    .ascii "_FVH"
    .org VARS_LEN, 0xff
code:
    .fill 40, 1, 0
    .ascii "_FVH"
    .balign 64
image:
    .incbin IMAGE
image_end:
    .balign 16
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
gdt_ptr:
    .short 23
    .long AT(gdt)
    .code16
rom_entry:
    cli
    cld
    lgdtl %cs:(gdt_ptr - code)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $AT(1f)
    .code32
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $AT(image), %esi
    movl $0x100000, %edi
    movl $(image_end - image), %ecx
    rep movsb
    xorl %eax, %eax                 /* no loader */
    xorl %ebx, %ebx
    movl $0x100000, %edx
    jmp *%edx
    .org VARS_LEN + CODE_LEN - 16
    .code16
    jmp rom_entry
    .org VARS_LEN + CODE_LEN
    .section .note.GNU-stack, "", @progbits
