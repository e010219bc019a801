namespace Checkpoint.Kvm.Guests;

/// <summary>One segment register with its hidden part, field by field as in <c>kvm_segment</c>.</summary>
public sealed record GuestSegment
{
    public ushort Selector { get; init; }
    public ulong Base { get; init; }
    public uint Limit { get; init; }
    public byte Type { get; init; }
    public byte Present { get; init; }
    public byte Dpl { get; init; }
    public byte Db { get; init; }
    public byte S { get; init; }
    public byte L { get; init; }
    public byte G { get; init; }
    public byte Unusable { get; init; }

    /// <summary>64-bit code at CPL 3.</summary>
    public static GuestSegment UserCode { get; } = new()
    {
        Selector = 0x33, Limit = 0xffff_ffff, Type = 11, Present = 1, Dpl = 3, S = 1, L = 1, G = 1,
    };

    /// <summary>Writable data at CPL 3, for SS, DS, ES, FS and GS. The privilege of SS is the CPL.</summary>
    public static GuestSegment UserData { get; } = new()
    {
        Selector = 0x2b, Limit = 0xffff_ffff, Type = 3, Present = 1, Dpl = 3, Db = 1, S = 1, G = 1,
    };

    /// <summary>The busy 64-bit TSS of <see cref="TaskState"/>. VMX refuses to enter long mode without one.</summary>
    public static GuestSegment Task { get; } = new()
    {
        Selector = 0x40, Base = TaskState.Address, Limit = TaskState.Bytes - 1, Type = 11, Present = 1,
    };

    /// <summary>No local descriptor table.</summary>
    public static GuestSegment NoLocalTable { get; } = new() { Type = 2, Unusable = 1 };
}
