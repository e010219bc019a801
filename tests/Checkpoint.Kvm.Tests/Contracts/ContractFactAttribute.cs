using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Remote;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Marks a fixture whose laws are those of the host's own KVM.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsKvmAttribute : Attribute
{
    /// <summary>Why this host has no KVM; null where it has.</summary>
    public static string? ReasonAgainst { get; } = Find();

    private static string? Find()
    {
        if (!OperatingSystem.IsLinux())
            return "This is not Linux.";
        if (!SystemHandle.TryOpen(out var system, out var reason))
            return reason;
        system.Dispose();
        return null;
    }
}

/// <summary>Marks a fixture on the host's own KVM whose memory comes in through a userfaultfd.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsUserfaultfdAttribute : Attribute
{
    /// <summary>Why this process has none; null where it has.</summary>
    public static string? ReasonAgainst { get; } = NeedsKvmAttribute.ReasonAgainst ?? Find();

    private static string? Find()
    {
        if (!Userfaultfd.TryOpen(out var opened, out var obstacle))
            return obstacle;
        opened.Dispose();
        return null;
    }
}

/// <summary>Marks a fixture that reaches the host's own KVM through an agent.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsLocalAgentAttribute : Attribute
{
    /// <summary>Why there can be no such agent; null where there can.</summary>
    public static string? ReasonAgainst { get; } = AgentHost.ReasonAgainstLocal() ?? NeedsKvmAttribute.ReasonAgainst;
}

/// <summary>Marks a fixture whose laws are those of an emulated arm64 machine's KVM.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsArm64KernelAttribute : Attribute
{
    /// <summary>Why there is no such machine; null where there is.</summary>
    public static string? ReasonAgainst { get; } = AgentHost.ReasonAgainstArm64();
}

/// <summary>A law of a contract: one method, run by every fixture, skipped with its reason by one that lacks what it needs.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("Checkpoint.Kvm.Tests.Contracts.ContractFactDiscoverer", "Checkpoint.Kvm.Tests")]
public sealed class ContractFactAttribute : FactAttribute;

/// <summary>Finds the laws.</summary>
public sealed class ContractFactDiscoverer(IMessageSink diagnostics) : IXunitTestCaseDiscoverer
{
    public IEnumerable<IXunitTestCase> Discover(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        [new ContractTestCase(diagnostics, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod)];
}

/// <summary>One law of one fixture. Whether it is skipped follows from the fixture, so it is not part of the case's identity.</summary>
public sealed class ContractTestCase : XunitTestCase
{
    [Obsolete("For the deserializer alone.", error: true)]
    public ContractTestCase()
    {
    }

    public ContractTestCase(IMessageSink diagnostics, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod method)
        : base(diagnostics, display, options, method)
    {
    }

    protected override string? GetSkipReason(IAttributeInfo factAttribute) =>
        Has<NeedsKvmAttribute>() ? NeedsKvmAttribute.ReasonAgainst
        : Has<NeedsUserfaultfdAttribute>() ? NeedsUserfaultfdAttribute.ReasonAgainst
        : Has<NeedsLocalAgentAttribute>() ? NeedsLocalAgentAttribute.ReasonAgainst
        : Has<NeedsArm64KernelAttribute>() ? NeedsArm64KernelAttribute.ReasonAgainst
        : base.GetSkipReason(factAttribute);

    private bool Has<T>() => TestMethod.TestClass.Class.GetCustomAttributes(typeof(T).AssemblyQualifiedName).Any();
}
