/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an ARM64 guest's machine has that ACPI must tell, ACPI 6.4. The numbers are those of platform.h; tests/unit/arm_build.c compares them.
 * Hardware-reduced: power-off and reset are PSCI's; the power button is line 3 of the GPIO controller (§5.6.5, GPIO-signaled events).
 */
DefinitionBlock ("", "DSDT", 2, "TRIVET", "TRIVETA6", 1)
{
    Scope (\_SB)
    {
        Device (COM0)
        {
            Name (_HID, "ARMH0011")
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0x09000000, 0x1000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 33 }
            })
        }

        Device (GPO0)
        {
            Name (_HID, "ARMH0061")
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0x09030000, 0x1000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 39 }
            })
            Name (_AEI, ResourceTemplate () {
                GpioInt (Edge, ActiveHigh, ExclusiveAndWake, PullUp, 0, "GPO0", 0, ResourceConsumer) { 3 }
            })
            Method (_E03, 0, NotSerialized) { Notify (PWRB, 0x80) }
        }
        Device (PWRB)
        {
            Name (_HID, "PNP0C0C")
            Name (_UID, 0)
        }

        /*
         * The PL031 has no identifier of its own in ACPI. Linux makes a PrimeCell of what is compatible with one that it knows, and then chooses the
         * driver by the identification registers (Arm DDI 0224 §3.3.9), which say PL031.
         */
        Device (RTC0)
        {
            Name (_HID, "TRVT0031")
            Name (_CID, "ARMH0061")
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate () {
                Memory32Fixed (ReadWrite, 0x09010000, 0x1000)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 34 }
            })
        }

        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)
            Name (_CCA, 1)
            Name (_CRS, ResourceTemplate () {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, 0x20000000, 0x3FFFFFFF, 0, 0x20000000)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, 0x4000000000, 0x4FFFFFFFFF, 0, 0x1000000000)
            })
            /* INTx of slot s, pin p (from 0): interrupt 35 + ((s + p) & 3). */
            Method (_PRT, 0, Serialized)
            {
                Name (ALL, Package (128) {})
                For (Local0 = 0, Local0 < 128, Local0++)
                {
                    Local1 = Package () { 0, 0, 0, 0 }
                    Local1 [0] = ((Local0 >> 2) << 16) | 0xFFFF
                    Local1 [1] = Local0 & 3
                    Local1 [3] = 35 + (((Local0 >> 2) + Local0) & 3)
                    ALL [Local0] = Local1
                }
                Return (ALL)
            }
            /* The guest may have all the PCI Express features it asks for (PCI Firmware 3.2 §4.5). */
            Method (_OSC, 4, NotSerialized) { Return (Arg3) }
        }

        /* Configuration space of bus 0, the only one, so that nobody else uses its addresses. */
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0x10000000, 0x00100000) })
        }
    }
}
