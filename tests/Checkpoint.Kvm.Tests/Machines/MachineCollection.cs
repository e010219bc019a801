namespace Checkpoint.Kvm.Tests.Machines;

/// <summary>The tests that run whole guests: one after another.</summary>
[CollectionDefinition(Name)]
public sealed class MachineCollection
{
    public const string Name = "machines";
}

/// <summary>As <see cref="KvmFactAttribute"/>, for a test with several cases.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KvmTheoryAttribute : TheoryAttribute
{
    public KvmTheoryAttribute() => Skip = new KvmFactAttribute().Skip;
}
