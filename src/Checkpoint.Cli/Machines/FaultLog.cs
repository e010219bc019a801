using Checkpoint.Protocol.Faults;

namespace Checkpoint.Cli.Machines;

/// <summary>Tells of each injected fault, those before anybody listens as soon as somebody does.</summary>
internal sealed class FaultLog
{
    private readonly Lock _gate = new();
    private readonly List<FaultHit> _early = [];
    private Action<FaultHit>? _tell;

    public FaultLog(FaultPlan faults) => faults.Injected += Hear;

    /// <summary>From here on each fault is told as it is injected.</summary>
    public void TellTo(Action<FaultHit> tell)
    {
        lock (_gate)
        {
            _tell = tell;
            _early.ForEach(tell);
            _early.Clear();
        }
    }

    private void Hear(FaultHit hit)
    {
        lock (_gate)
        {
            if (_tell is null)
            {
                _early.Add(hit);
                return;
            }

            try
            {
                _tell(hit);
            }
            catch (CommandException)
            {
                // Nobody reads the output: the run hears of that with its next round. The call that is to fail fails all the same.
            }
        }
    }
}
