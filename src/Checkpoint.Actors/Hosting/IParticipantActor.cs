using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Hosting;

/// <summary>An actor that stands for a participant: it takes messages from any thread and never makes the sender wait.</summary>
internal interface IParticipantActor
{
    /// <summary>Ends when the actor's thread has ended.</summary>
    Task Ended { get; }

    /// <summary>Starts the actor's thread.</summary>
    void Start();

    /// <summary>Takes one message.</summary>
    void Tell(CoordinatorEffect.ParticipantEffect message);

    /// <summary>Asks the actor to end.</summary>
    void Stop();
}

/// <summary>Hears the participants' reports, on their own threads; it must not make them wait.</summary>
internal interface IParticipantListener
{
    /// <summary>Takes one report.</summary>
    void Hear(CoordinatorInput report);

    /// <summary>
    /// Takes a report of a vCPU that is about to enter the guest. To wake a thread for it would keep the guest waiting, so it may lie until
    /// <see cref="LookIn"/>; it counts as of now.
    /// </summary>
    void HearSoon(CoordinatorInput report) => Hear(report);

    /// <summary>Called about every millisecond from when the machine is prepared until it is told that the round is over.</summary>
    void LookIn()
    {
    }
}

/// <summary>The reports that one participant can make in one round, made before the guest is paused.</summary>
internal sealed class RoundReports(RoundId round, int participant)
{
    public RoundId Round { get; } = round;

    public CoordinatorInput.ParticipantPrepared Prepared { get; } = new(round, participant);

    public CoordinatorInput.ParticipantParked Parked { get; } = new(round, participant);

    public CoordinatorInput.ParticipantCaptured Captured { get; } = new(round, participant);

    public CoordinatorInput.ParticipantResumed Resumed { get; } = new(round, participant);
}
