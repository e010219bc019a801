using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Hosting;

/// <summary>A machine's actors: one for each vCPU, one for the machine, one for each device with threads.</summary>
internal sealed class MachineHost
{
    private readonly ImmutableArray<VcpuActor> _vcpus;
    private readonly ImmutableArray<DeviceActor> _devices;
    private readonly MachineActor? _machine;
    private readonly MachineAttachment _attachment;
    private readonly ImmutableArray<IParticipantActor> _actors;

    /// <param name="attachment">The machine.</param>
    /// <param name="listener">Hears the actors' reports.</param>
    /// <param name="threads">What the actors run on.</param>
    /// <param name="time">The clock.</param>
    /// <param name="takesCheckpoints">Whether checkpoints will be taken. Without them nobody stands for the VM: no log of what the guest writes is kept.</param>
    public MachineHost(
        MachineAttachment attachment, IParticipantListener listener, IEngineThreads? threads = null, TimeProvider? time = null, bool takesCheckpoints = true)
    {
        _attachment = attachment;
        var doubled = attachment.Devices.GroupBy(device => device.Name).FirstOrDefault(devices => devices.Count() > 1);
        if (doubled is not null)
            throw new ArgumentException($"Two devices have the name '{doubled.Key}': a restore could not tell them apart.", nameof(attachment));
        var states = attachment.Machine.Vcpus;
        var participants = ImmutableArray.CreateBuilder<Participant>();
        Participant Next(ParticipantKind kind, string name)
        {
            participants.Add(new Participant(participants.Count, kind, name));
            return participants[^1];
        }

        _vcpus = [.. states.Select(state => new VcpuActor(
            Next(ParticipantKind.Vcpu, string.Create(CultureInfo.InvariantCulture, $"vcpu {state.Vcpu.Index}")), state, attachment.ExitHandler, listener, threads))];
        _devices = [.. attachment.Devices.OfType<IDeviceParticipant>().Select(device => new DeviceActor(
            Next(ParticipantKind.Device, "device " + device.Name), device, listener, threads))];
        var passive = attachment.Devices.Where(device => device is not IDeviceParticipant).ToList();
        if (takesCheckpoints)
            _machine = new MachineActor(Next(ParticipantKind.Machine, "machine"), attachment, passive, listener, threads, time);
        foreach (var vcpu in _vcpus)
            vcpu.Helped = _machine;
        Participants = participants.ToImmutable();
        _actors = [.. _vcpus, .. _devices, .. _machine is null ? Enumerable.Empty<IParticipantActor>() : [_machine]];
    }

    /// <summary>The table of participants.</summary>
    public ImmutableArray<Participant> Participants { get; }

    /// <summary>The machine's actor: it holds the copy of the memory.</summary>
    public MachineActor Machine => _machine ?? throw new UnreachableException("No checkpoints are taken of this machine.");

    /// <summary>The participants' actors, each at its index.</summary>
    public ImmutableArray<IParticipantActor> Actors => _actors;

    /// <summary>How registers are read.</summary>
    public string Batching => _attachment.Machine.Vcpus[0].Batching;

    /// <summary>Starts the threads; the vCPUs are parked. Where the embedder drives the vCPUs, theirs are not started.</summary>
    public void Start()
    {
        foreach (var actor in _actors)
        {
            if (actor is not VcpuActor || !_attachment.EmbedderDrivesVcpus)
                actor.Start();
        }
    }

    /// <summary>Drives one vCPU on the calling thread until it has ended.</summary>
    public void DriveVcpu(int index) => _vcpus[index].RunOnThisThread();

    /// <summary>Lets the guest run.</summary>
    public void RunGuest()
    {
        foreach (var vcpu in _vcpus)
            vcpu.Run();
    }

    /// <summary>Passes a message on.</summary>
    public void Tell(CoordinatorEffect.ParticipantEffect message) => _actors[message.Participant].Tell(message);

    /// <summary>
    /// Stops the vCPUs, each with no IO pending, then the other threads. A vCPU that hangs in its exit handler, or a device
    /// that hangs, is left behind after the time given.
    /// </summary>
    /// <returns>The names of those that were left behind.</returns>
    public async Task<ImmutableArray<string>> StopAsync(TimeSpan patience, TimeProvider time)
    {
        foreach (var vcpu in _vcpus)
            vcpu.Stop();
        await WaitAsync(_vcpus, patience, time).ConfigureAwait(false);
        foreach (var actor in _actors)
            actor.Stop();
        await WaitAsync(_actors, patience, time).ConfigureAwait(false);
        return [.. Participants.Where(each => !_actors[each.Index].Ended.IsCompleted).Select(each => each.Name)];
    }

    /// <summary>What the last round captured, memory excepted.</summary>
    public StateDocument ToStateDocument()
    {
        var captured = Machine.Devices.Concat(_devices.Select(device => device.State)).ToDictionary(state => state.Name);
        return new StateDocument(
            _attachment.Machine.Description,
            _attachment.Machine.ToVmStateList(),
            [.. _attachment.Machine.Vcpus.Select(vcpu => vcpu.ToStateList())],
            [.. _attachment.Devices.Select(device => captured[device.Name])]);
    }

    private static async Task WaitAsync(IEnumerable<IParticipantActor> actors, TimeSpan patience, TimeProvider time)
    {
        var all = Task.WhenAll(actors.Select(actor => actor.Ended));
        await Task.WhenAny(all, Task.Delay(patience, time)).ConfigureAwait(false);
    }
}
