using Akka.Actor;
using Akka.Event;
using Akka.Persistence;

namespace Checkpoint.Actors.Akka.Persistence;

/// <summary>
/// Waits until the journal has answered what was handed to it, also where nobody is left to hear the answer. A journal answers
/// in the order in which it was asked, whatever it does at the same time: the answer to a write of
/// nothing comes after those to all writes before it. It says no more than that, and less where a circuit breaker gives it: so
/// who has waited here settles what he waited for (<see cref="AppendSettlement"/>).
/// </summary>
internal sealed class JournalFence(ActorSystem system, CheckpointSettings settings)
{
    /// <summary>Waits at most <see cref="CheckpointSettings.JournalPatience"/>.</summary>
    public async Task PassAsync()
    {
        try
        {
            var journal = global::Akka.Persistence.Persistence.Instance.Apply(system).JournalFor(settings.JournalPluginId);
            var answer = journal.Ask<object>(
                asker => new WriteMessages([], asker, 0),
                settings.JournalPatience,
                CancellationToken.None);
            // A journal that has ended answers nobody.
            await await Task.WhenAny(answer, system.WhenTerminated).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            Logging.GetLogger(system, typeof(JournalFence)).Debug("The journal does not answer: {0}", failure.Message);
        }
    }

    /// <summary>Says that a machine cannot be attached any more.</summary>
    public void SayThatLockIsKept(string vm) => Logging.GetLogger(system, typeof(JournalFence)).Error(
        "The last write of the machine {0} was not answered within {1} s and the store cannot settle it, so it may still land: the machine's lock is kept until this process ends.",
        vm,
        settings.JournalPatience.TotalSeconds);
}
