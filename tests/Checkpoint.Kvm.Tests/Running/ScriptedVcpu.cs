using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>One return of KVM_RUN: an exit, or what it throws.</summary>
internal sealed record ScriptedExit(VcpuExitReason Reason, ulong Detail = 0, Exception? Thrown = null)
{
    public static implicit operator ScriptedExit(VcpuExitReason reason) => new(reason);
}

/// <summary>A vCPU whose exits were written down beforehand; after them every KVM_RUN is interrupted.</summary>
internal sealed class ScriptedVcpu(List<string> log) : UnusedVcpu
{
    private readonly byte[] _data = new byte[8];

    public Queue<ScriptedExit> Exits { get; } = new();

    public override bool ImmediateExit { get; set; }

    public int Kicks { get; private set; }

    public override void BindToCurrentThread() => log.Add("bind");

    public override void Unbind() => log.Add("unbind");

    public override void Kick() => Kicks++;

    public override VcpuExit Run()
    {
        log.Add(ImmediateExit ? "finish" : "run");
        if (!Exits.TryDequeue(out var exit))
            return new VcpuExit { Reason = VcpuExitReason.Interrupted };
        if (exit.Thrown is not null)
            throw exit.Thrown;
        return new VcpuExit { Reason = exit.Reason, Detail = exit.Detail, Data = _data };
    }
}
