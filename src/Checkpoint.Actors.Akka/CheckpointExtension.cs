using Akka;
using Akka.Actor;
using Akka.Configuration;
using Checkpoint.Actors.Akka.Machines;
using Checkpoint.Actors.Akka.Participants;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka;

/// <summary>
/// The checkpoint engine of an actor system. It is made when it is first asked for, from the section <c>checkpoint</c> of the
/// system's configuration, and ends with the system.
/// </summary>
public sealed class CheckpointExtension : IExtension
{
    private const string ActorName = "checkpoint";

    private CheckpointExtension(ExtendedActorSystem system, CheckpointSettings settings, TimeProvider time, CheckpointStore store)
    {
        Settings = settings;
        CheckpointEngine? engine = null;
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Actor = system.ActorOf(Props.Create(() => new EngineActor(() => engine!, ended, time)), ActorName);
        Engine = engine = new CheckpointEngine(store, time, new ActorSystemHost(Actor, ended.Task, store, settings, new JournalFence(system, settings), time));
        if (settings.RunCoordinatedShutdown)
            CoordinatedShutdown.Get(system).AddTask(CoordinatedShutdown.PhaseBeforeServiceUnbind, "checkpoint-engine", StopAsync);
    }

    /// <summary>The engine for code that is no actor: the same door as that of the built-in host.</summary>
    public CheckpointEngine Engine { get; }

    /// <summary>The engine's actor; it takes <see cref="Messages.EngineCommand"/>.</summary>
    public IActorRef Actor { get; }

    /// <summary>What it goes by.</summary>
    public CheckpointSettings Settings { get; }

    /// <summary>What the section <c>checkpoint.coordinator</c> says, for <see cref="MachineAttachment.Options"/>.</summary>
    public CoordinatorOptions CoordinatorOptions => Settings.Coordinator;

    /// <summary>The settings and what they are where nothing else is said.</summary>
    public static Config DefaultConfig() => ConfigurationFactory.FromResource<CheckpointExtension>("reference.conf");

    /// <summary>The engine of an actor system.</summary>
    /// <exception cref="StoreException">The store cannot be used; the message says why and what to do.</exception>
    public static CheckpointExtension Get(ActorSystem system) => system.WithExtension<CheckpointExtension, Provider>();

    /// <summary>The engine of an actor system by another clock than the host's; it must not have one yet.</summary>
    /// <param name="system">The actor system.</param>
    /// <param name="time">The clock.</param>
    /// <param name="store">The store, opened; null for the one that the settings name.</param>
    internal static CheckpointExtension Open(ActorSystem system, TimeProvider time, CheckpointStore? store = null) =>
        new Provider(time, store).CreateExtension((ExtendedActorSystem)system);

    /// <summary>A device that is an actor of the user's, for <see cref="MachineAttachment.Devices"/>.</summary>
    /// <param name="name">Its name, unique among the machine's devices.</param>
    /// <param name="device">Answers <see cref="Messages.ParkDevice"/>, <see cref="Messages.CaptureDevice"/> and <see cref="Messages.ResumeDevice"/>.</param>
    public IDeviceParticipant DeviceOf(string name, IActorRef device) => new ActorDevice(name, device, Settings.DeviceAnswerTimeout);

    private async Task<Done> StopAsync()
    {
        try
        {
            await Task.WhenAll(Engine.Attached.ToList().Select(machine => machine.DisposeAsync().AsTask())).ConfigureAwait(false);
        }
        finally
        {
            // Also where a machine could not be stopped: the store is closed after all that is still written to it.
            await Engine.DisposeAsync().ConfigureAwait(false);
        }

        return Done.Instance;
    }

    private sealed class Provider : ExtensionIdProvider<CheckpointExtension>
    {
        private readonly TimeProvider _time;
        private readonly CheckpointStore? _store;

        public Provider()
            : this(TimeProvider.System, null)
        {
        }

        public Provider(TimeProvider time, CheckpointStore? store) => (_time, _store) = (time, store);

        public override CheckpointExtension CreateExtension(ExtendedActorSystem system)
        {
            system.Settings.InjectTopLevelFallback(DefaultConfig());
            // Settings of the system's own may replace ours; events in other bytes would make the stream unreadable for good.
            if (system.Serialization.FindSerializerForType(typeof(ChainedEvent)) is not CheckpointSerializer)
                throw new ConfigurationException("The actor system does not use the serializer 'checkpoint' for the engine's events: remove what binds others to them.");
            var settings = CheckpointSettings.From(system.Settings.Config);
            return new CheckpointExtension(system, settings, _time, _store ?? CheckpointStore.Open(settings.Store, _time));
        }
    }
}
