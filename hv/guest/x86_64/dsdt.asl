/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an x86 guest's machine has that ACPI must tell: ACPI 6.4 §6.1 (identification), §6.2 (_PRT, _CRS), §7.4 (_S5).
 * The numbers are those of platform.h and build.c; tests/unit/x86_build.c compares them.
 */
DefinitionBlock ("", "DSDT", 2, "TRIVET", "TRIVETPC", 1)
{
    Name (\_S5, Package () { 5, 0, 0, 0 })
    Name (PICM, 0)
    Method (\_PIC, 1, NotSerialized) { PICM = Arg0 }

    Scope (\_SB)
    {
        /* Interrupts of the PCI slots: IOAPIC pins 16 to 19, or PIC inputs 10 and 11. */
        Name (PRTA, Package () {
            Package () { 0x0000FFFF, 0, 0, 16 }, Package () { 0x0000FFFF, 1, 0, 17 }, Package () { 0x0000FFFF, 2, 0, 18 }, Package () { 0x0000FFFF, 3, 0, 19 },
            Package () { 0x0001FFFF, 0, 0, 17 }, Package () { 0x0001FFFF, 1, 0, 18 }, Package () { 0x0001FFFF, 2, 0, 19 }, Package () { 0x0001FFFF, 3, 0, 16 },
            Package () { 0x0002FFFF, 0, 0, 18 }, Package () { 0x0002FFFF, 1, 0, 19 }, Package () { 0x0002FFFF, 2, 0, 16 }, Package () { 0x0002FFFF, 3, 0, 17 },
            Package () { 0x0003FFFF, 0, 0, 19 }, Package () { 0x0003FFFF, 1, 0, 16 }, Package () { 0x0003FFFF, 2, 0, 17 }, Package () { 0x0003FFFF, 3, 0, 18 },
            Package () { 0x0004FFFF, 0, 0, 16 }, Package () { 0x0004FFFF, 1, 0, 17 }, Package () { 0x0004FFFF, 2, 0, 18 }, Package () { 0x0004FFFF, 3, 0, 19 },
            Package () { 0x0005FFFF, 0, 0, 17 }, Package () { 0x0005FFFF, 1, 0, 18 }, Package () { 0x0005FFFF, 2, 0, 19 }, Package () { 0x0005FFFF, 3, 0, 16 },
            Package () { 0x0006FFFF, 0, 0, 18 }, Package () { 0x0006FFFF, 1, 0, 19 }, Package () { 0x0006FFFF, 2, 0, 16 }, Package () { 0x0006FFFF, 3, 0, 17 },
            Package () { 0x0007FFFF, 0, 0, 19 }, Package () { 0x0007FFFF, 1, 0, 16 }, Package () { 0x0007FFFF, 2, 0, 17 }, Package () { 0x0007FFFF, 3, 0, 18 },
            Package () { 0x0008FFFF, 0, 0, 16 }, Package () { 0x0008FFFF, 1, 0, 17 }, Package () { 0x0008FFFF, 2, 0, 18 }, Package () { 0x0008FFFF, 3, 0, 19 },
            Package () { 0x0009FFFF, 0, 0, 17 }, Package () { 0x0009FFFF, 1, 0, 18 }, Package () { 0x0009FFFF, 2, 0, 19 }, Package () { 0x0009FFFF, 3, 0, 16 },
            Package () { 0x000AFFFF, 0, 0, 18 }, Package () { 0x000AFFFF, 1, 0, 19 }, Package () { 0x000AFFFF, 2, 0, 16 }, Package () { 0x000AFFFF, 3, 0, 17 },
            Package () { 0x000BFFFF, 0, 0, 19 }, Package () { 0x000BFFFF, 1, 0, 16 }, Package () { 0x000BFFFF, 2, 0, 17 }, Package () { 0x000BFFFF, 3, 0, 18 },
            Package () { 0x000CFFFF, 0, 0, 16 }, Package () { 0x000CFFFF, 1, 0, 17 }, Package () { 0x000CFFFF, 2, 0, 18 }, Package () { 0x000CFFFF, 3, 0, 19 },
            Package () { 0x000DFFFF, 0, 0, 17 }, Package () { 0x000DFFFF, 1, 0, 18 }, Package () { 0x000DFFFF, 2, 0, 19 }, Package () { 0x000DFFFF, 3, 0, 16 },
            Package () { 0x000EFFFF, 0, 0, 18 }, Package () { 0x000EFFFF, 1, 0, 19 }, Package () { 0x000EFFFF, 2, 0, 16 }, Package () { 0x000EFFFF, 3, 0, 17 },
            Package () { 0x000FFFFF, 0, 0, 19 }, Package () { 0x000FFFFF, 1, 0, 16 }, Package () { 0x000FFFFF, 2, 0, 17 }, Package () { 0x000FFFFF, 3, 0, 18 },
            Package () { 0x0010FFFF, 0, 0, 16 }, Package () { 0x0010FFFF, 1, 0, 17 }, Package () { 0x0010FFFF, 2, 0, 18 }, Package () { 0x0010FFFF, 3, 0, 19 },
            Package () { 0x0011FFFF, 0, 0, 17 }, Package () { 0x0011FFFF, 1, 0, 18 }, Package () { 0x0011FFFF, 2, 0, 19 }, Package () { 0x0011FFFF, 3, 0, 16 },
            Package () { 0x0012FFFF, 0, 0, 18 }, Package () { 0x0012FFFF, 1, 0, 19 }, Package () { 0x0012FFFF, 2, 0, 16 }, Package () { 0x0012FFFF, 3, 0, 17 },
            Package () { 0x0013FFFF, 0, 0, 19 }, Package () { 0x0013FFFF, 1, 0, 16 }, Package () { 0x0013FFFF, 2, 0, 17 }, Package () { 0x0013FFFF, 3, 0, 18 },
            Package () { 0x0014FFFF, 0, 0, 16 }, Package () { 0x0014FFFF, 1, 0, 17 }, Package () { 0x0014FFFF, 2, 0, 18 }, Package () { 0x0014FFFF, 3, 0, 19 },
            Package () { 0x0015FFFF, 0, 0, 17 }, Package () { 0x0015FFFF, 1, 0, 18 }, Package () { 0x0015FFFF, 2, 0, 19 }, Package () { 0x0015FFFF, 3, 0, 16 },
            Package () { 0x0016FFFF, 0, 0, 18 }, Package () { 0x0016FFFF, 1, 0, 19 }, Package () { 0x0016FFFF, 2, 0, 16 }, Package () { 0x0016FFFF, 3, 0, 17 },
            Package () { 0x0017FFFF, 0, 0, 19 }, Package () { 0x0017FFFF, 1, 0, 16 }, Package () { 0x0017FFFF, 2, 0, 17 }, Package () { 0x0017FFFF, 3, 0, 18 },
            Package () { 0x0018FFFF, 0, 0, 16 }, Package () { 0x0018FFFF, 1, 0, 17 }, Package () { 0x0018FFFF, 2, 0, 18 }, Package () { 0x0018FFFF, 3, 0, 19 },
            Package () { 0x0019FFFF, 0, 0, 17 }, Package () { 0x0019FFFF, 1, 0, 18 }, Package () { 0x0019FFFF, 2, 0, 19 }, Package () { 0x0019FFFF, 3, 0, 16 },
            Package () { 0x001AFFFF, 0, 0, 18 }, Package () { 0x001AFFFF, 1, 0, 19 }, Package () { 0x001AFFFF, 2, 0, 16 }, Package () { 0x001AFFFF, 3, 0, 17 },
            Package () { 0x001BFFFF, 0, 0, 19 }, Package () { 0x001BFFFF, 1, 0, 16 }, Package () { 0x001BFFFF, 2, 0, 17 }, Package () { 0x001BFFFF, 3, 0, 18 },
            Package () { 0x001CFFFF, 0, 0, 16 }, Package () { 0x001CFFFF, 1, 0, 17 }, Package () { 0x001CFFFF, 2, 0, 18 }, Package () { 0x001CFFFF, 3, 0, 19 },
            Package () { 0x001DFFFF, 0, 0, 17 }, Package () { 0x001DFFFF, 1, 0, 18 }, Package () { 0x001DFFFF, 2, 0, 19 }, Package () { 0x001DFFFF, 3, 0, 16 },
            Package () { 0x001EFFFF, 0, 0, 18 }, Package () { 0x001EFFFF, 1, 0, 19 }, Package () { 0x001EFFFF, 2, 0, 16 }, Package () { 0x001EFFFF, 3, 0, 17 },
            Package () { 0x001FFFFF, 0, 0, 19 }, Package () { 0x001FFFFF, 1, 0, 16 }, Package () { 0x001FFFFF, 2, 0, 17 }, Package () { 0x001FFFFF, 3, 0, 18 }
        })
        Name (PRTP, Package () {
            Package () { 0x0000FFFF, 0, 0, 10 }, Package () { 0x0000FFFF, 1, 0, 11 }, Package () { 0x0000FFFF, 2, 0, 10 }, Package () { 0x0000FFFF, 3, 0, 11 },
            Package () { 0x0001FFFF, 0, 0, 11 }, Package () { 0x0001FFFF, 1, 0, 10 }, Package () { 0x0001FFFF, 2, 0, 11 }, Package () { 0x0001FFFF, 3, 0, 10 },
            Package () { 0x0002FFFF, 0, 0, 10 }, Package () { 0x0002FFFF, 1, 0, 11 }, Package () { 0x0002FFFF, 2, 0, 10 }, Package () { 0x0002FFFF, 3, 0, 11 },
            Package () { 0x0003FFFF, 0, 0, 11 }, Package () { 0x0003FFFF, 1, 0, 10 }, Package () { 0x0003FFFF, 2, 0, 11 }, Package () { 0x0003FFFF, 3, 0, 10 },
            Package () { 0x0004FFFF, 0, 0, 10 }, Package () { 0x0004FFFF, 1, 0, 11 }, Package () { 0x0004FFFF, 2, 0, 10 }, Package () { 0x0004FFFF, 3, 0, 11 },
            Package () { 0x0005FFFF, 0, 0, 11 }, Package () { 0x0005FFFF, 1, 0, 10 }, Package () { 0x0005FFFF, 2, 0, 11 }, Package () { 0x0005FFFF, 3, 0, 10 },
            Package () { 0x0006FFFF, 0, 0, 10 }, Package () { 0x0006FFFF, 1, 0, 11 }, Package () { 0x0006FFFF, 2, 0, 10 }, Package () { 0x0006FFFF, 3, 0, 11 },
            Package () { 0x0007FFFF, 0, 0, 11 }, Package () { 0x0007FFFF, 1, 0, 10 }, Package () { 0x0007FFFF, 2, 0, 11 }, Package () { 0x0007FFFF, 3, 0, 10 },
            Package () { 0x0008FFFF, 0, 0, 10 }, Package () { 0x0008FFFF, 1, 0, 11 }, Package () { 0x0008FFFF, 2, 0, 10 }, Package () { 0x0008FFFF, 3, 0, 11 },
            Package () { 0x0009FFFF, 0, 0, 11 }, Package () { 0x0009FFFF, 1, 0, 10 }, Package () { 0x0009FFFF, 2, 0, 11 }, Package () { 0x0009FFFF, 3, 0, 10 },
            Package () { 0x000AFFFF, 0, 0, 10 }, Package () { 0x000AFFFF, 1, 0, 11 }, Package () { 0x000AFFFF, 2, 0, 10 }, Package () { 0x000AFFFF, 3, 0, 11 },
            Package () { 0x000BFFFF, 0, 0, 11 }, Package () { 0x000BFFFF, 1, 0, 10 }, Package () { 0x000BFFFF, 2, 0, 11 }, Package () { 0x000BFFFF, 3, 0, 10 },
            Package () { 0x000CFFFF, 0, 0, 10 }, Package () { 0x000CFFFF, 1, 0, 11 }, Package () { 0x000CFFFF, 2, 0, 10 }, Package () { 0x000CFFFF, 3, 0, 11 },
            Package () { 0x000DFFFF, 0, 0, 11 }, Package () { 0x000DFFFF, 1, 0, 10 }, Package () { 0x000DFFFF, 2, 0, 11 }, Package () { 0x000DFFFF, 3, 0, 10 },
            Package () { 0x000EFFFF, 0, 0, 10 }, Package () { 0x000EFFFF, 1, 0, 11 }, Package () { 0x000EFFFF, 2, 0, 10 }, Package () { 0x000EFFFF, 3, 0, 11 },
            Package () { 0x000FFFFF, 0, 0, 11 }, Package () { 0x000FFFFF, 1, 0, 10 }, Package () { 0x000FFFFF, 2, 0, 11 }, Package () { 0x000FFFFF, 3, 0, 10 },
            Package () { 0x0010FFFF, 0, 0, 10 }, Package () { 0x0010FFFF, 1, 0, 11 }, Package () { 0x0010FFFF, 2, 0, 10 }, Package () { 0x0010FFFF, 3, 0, 11 },
            Package () { 0x0011FFFF, 0, 0, 11 }, Package () { 0x0011FFFF, 1, 0, 10 }, Package () { 0x0011FFFF, 2, 0, 11 }, Package () { 0x0011FFFF, 3, 0, 10 },
            Package () { 0x0012FFFF, 0, 0, 10 }, Package () { 0x0012FFFF, 1, 0, 11 }, Package () { 0x0012FFFF, 2, 0, 10 }, Package () { 0x0012FFFF, 3, 0, 11 },
            Package () { 0x0013FFFF, 0, 0, 11 }, Package () { 0x0013FFFF, 1, 0, 10 }, Package () { 0x0013FFFF, 2, 0, 11 }, Package () { 0x0013FFFF, 3, 0, 10 },
            Package () { 0x0014FFFF, 0, 0, 10 }, Package () { 0x0014FFFF, 1, 0, 11 }, Package () { 0x0014FFFF, 2, 0, 10 }, Package () { 0x0014FFFF, 3, 0, 11 },
            Package () { 0x0015FFFF, 0, 0, 11 }, Package () { 0x0015FFFF, 1, 0, 10 }, Package () { 0x0015FFFF, 2, 0, 11 }, Package () { 0x0015FFFF, 3, 0, 10 },
            Package () { 0x0016FFFF, 0, 0, 10 }, Package () { 0x0016FFFF, 1, 0, 11 }, Package () { 0x0016FFFF, 2, 0, 10 }, Package () { 0x0016FFFF, 3, 0, 11 },
            Package () { 0x0017FFFF, 0, 0, 11 }, Package () { 0x0017FFFF, 1, 0, 10 }, Package () { 0x0017FFFF, 2, 0, 11 }, Package () { 0x0017FFFF, 3, 0, 10 },
            Package () { 0x0018FFFF, 0, 0, 10 }, Package () { 0x0018FFFF, 1, 0, 11 }, Package () { 0x0018FFFF, 2, 0, 10 }, Package () { 0x0018FFFF, 3, 0, 11 },
            Package () { 0x0019FFFF, 0, 0, 11 }, Package () { 0x0019FFFF, 1, 0, 10 }, Package () { 0x0019FFFF, 2, 0, 11 }, Package () { 0x0019FFFF, 3, 0, 10 },
            Package () { 0x001AFFFF, 0, 0, 10 }, Package () { 0x001AFFFF, 1, 0, 11 }, Package () { 0x001AFFFF, 2, 0, 10 }, Package () { 0x001AFFFF, 3, 0, 11 },
            Package () { 0x001BFFFF, 0, 0, 11 }, Package () { 0x001BFFFF, 1, 0, 10 }, Package () { 0x001BFFFF, 2, 0, 11 }, Package () { 0x001BFFFF, 3, 0, 10 },
            Package () { 0x001CFFFF, 0, 0, 10 }, Package () { 0x001CFFFF, 1, 0, 11 }, Package () { 0x001CFFFF, 2, 0, 10 }, Package () { 0x001CFFFF, 3, 0, 11 },
            Package () { 0x001DFFFF, 0, 0, 11 }, Package () { 0x001DFFFF, 1, 0, 10 }, Package () { 0x001DFFFF, 2, 0, 11 }, Package () { 0x001DFFFF, 3, 0, 10 },
            Package () { 0x001EFFFF, 0, 0, 10 }, Package () { 0x001EFFFF, 1, 0, 11 }, Package () { 0x001EFFFF, 2, 0, 10 }, Package () { 0x001EFFFF, 3, 0, 11 },
            Package () { 0x001FFFFF, 0, 0, 11 }, Package () { 0x001FFFFF, 1, 0, 10 }, Package () { 0x001FFFFF, 2, 0, 11 }, Package () { 0x001FFFFF, 3, 0, 10 }
        })

        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate () {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, 0x4000000000, 0x4FFFFFFFFF, 0, 0x1000000000)
            })
            Method (_PRT, 0, NotSerialized)
            {
                If (PICM) { Return (PRTA) }
                Return (PRTP)
            }
            /* The guest may have all the PCI Express features it asks for (PCI Firmware 3.2 §4.5). */
            Method (_OSC, 4, NotSerialized) { Return (Arg3) }
        }

        /* Configuration space of bus 0, the only one, so that nobody else uses its addresses. */
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0xE0000000, 0x00100000) })
        }

        Device (PIC)
        {
            Name (_HID, EisaId ("PNP0000"))
            Name (_CRS, ResourceTemplate () {
                IO (Decode16, 0x20, 0x20, 1, 2)
                IO (Decode16, 0xA0, 0xA0, 1, 2)
                IO (Decode16, 0x4D0, 0x4D0, 1, 2)
                IRQNoFlags () { 2 }
            })
        }
        Device (TIMR)
        {
            Name (_HID, EisaId ("PNP0100"))
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0x40, 0x40, 1, 4) IRQNoFlags () { 0 } })
        }
        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0x70, 0x70, 1, 8) IRQNoFlags () { 8 } })
        }
        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400) })
        }
        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0x3F8, 0x3F8, 1, 8) IRQNoFlags () { 4 } })
        }
        /* Where a guest tells that it panicked: Linux's and Windows's drivers know it by this name. */
        Device (PEVT)
        {
            Name (_HID, "QEMU0001")
            Name (_CRS, ResourceTemplate () { IO (Decode16, 0x505, 0x505, 1, 1) })
        }
    }
}
