using System.Collections.Immutable;

namespace Checkpoint.Protocol.Faults;

/// <summary>
/// What is to go wrong, and what did. It decorates nothing itself: <c>FaultyKvm</c> puts it before a kernel, <c>StoreOptions.Faults</c>
/// before a store. It has no clock and no thread: the same seed and the same calls of each participant give the same faults,
/// in whichever order the participants' threads run. Calls may come from any thread.
/// </summary>
/// <example>
/// <code>
/// var faults = new FaultPlan(seed: 7);
/// faults.On("KVM_SET_MANY_REGS", vcpu: 2, call: 3).Fail(Errno.EINVAL, afterRegisters: 41);
/// using var kvm = new FaultyKvm(SystemHandle.Open(), faults);
/// </code>
/// </example>
/// <param name="seed">Where probabilities and what actions leave open are drawn from.</param>
/// <param name="waits">How delays and hangs pass; null: they block by the system's clock.</param>
public sealed class FaultPlan(ulong seed = 0, IFaultWaits? waits = null)
{
    private const int MostNamed = 4;
    private const int Eintr = 4;
    private const int Eagain = 11;

    private static readonly TimeSpan s_longest = TimeSpan.FromDays(30);

    private readonly Lock _gate = new();
    private readonly IFaultWaits _waits = waits ?? new FaultWaits(TimeProvider.System);
    private readonly Dictionary<(string Kind, string Call, string Participant, string? Phase), long> _counts = [];
    private ImmutableArray<FaultRule> _rules = [];

    // The rules that may still hit, by call; replaced, never changed, so that calls that no rule is about pass without the lock.
    private volatile Dictionary<string, FaultRule[]> _armed = new(StringComparer.Ordinal);
    private readonly List<CancellationTokenSource> _waiting = [];
    private int _made;

    /// <summary>Where random decisions are drawn from.</summary>
    public ulong Seed => seed;

    /// <summary>Says where a round stands, for the counts and for rules about a phase; null: nobody says. It must not wait.</summary>
    public Func<string?>? PhaseSource { get; set; }

    /// <summary>Raised for each fault before it takes effect, on the thread that made the call. It must not wait.</summary>
    public event Action<FaultHit>? Injected;

    /// <summary>The rules, in the order in which they were made; the first that is due counts.</summary>
    public IReadOnlyList<FaultRule> Rules => _rules;

    /// <summary>How often what went wrong, in ordinal order.</summary>
    public IReadOnlyList<FaultCount> Counts
    {
        get
        {
            lock (_gate)
            {
                return [.. _counts
                    .Select(each => new FaultCount(each.Key.Kind, each.Key.Call, each.Key.Participant, each.Key.Phase, each.Value))
                    .OrderBy(each => each.Kind, StringComparer.Ordinal).ThenBy(each => each.Call, StringComparer.Ordinal)
                    .ThenBy(each => each.Participant, StringComparer.Ordinal).ThenBy(each => each.Phase, StringComparer.Ordinal)];
            }
        }
    }

    /// <summary>How many faults were injected.</summary>
    public long Hits
    {
        get
        {
            lock (_gate)
                return _counts.Values.Sum();
        }
    }

    /// <summary>Begins a rule.</summary>
    /// <param name="request">The name of a call, one of <see cref="FaultCalls.Names"/>, or the beginning of names with <c>*</c> behind it.</param>
    /// <param name="vcpu">On this vCPU alone.</param>
    /// <param name="call">At this one of these calls, from 1, counted from now; null: at each.</param>
    /// <exception cref="ArgumentException">No call is called so; the message names the nearest.</exception>
    public FaultTrigger On(string request, int? vcpu = null, long? call = null)
    {
        if (call is { } number)
            ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
        if (FaultCalls.Matching(request).Count == 0)
            throw new ArgumentException($"there is no call '{NearestNames.Shown(request)}'; the nearest are {string.Join(", ", NearestNames.Of(request, FaultCalls.Names))}", nameof(request));
        return new FaultTrigger(this, new FaultWhen(request, vcpu, call, call is null ? null : 1));
    }

    /// <summary>Adds a rule.</summary>
    /// <exception cref="ArgumentException">This cannot go wrong at such a call.</exception>
    public FaultRule Add(FaultWhen when, FaultAction action)
    {
        if (when.Probability is not (>= 0 and <= 1))
            throw new ArgumentException($"a probability lies between 0 and 1, not at {when.Probability}", nameof(when));
        if (action is FaultAction.Delay { Duration: var duration } && (duration <= TimeSpan.Zero || duration > s_longest))
            throw new ArgumentException($"a delay is longer than nothing and at most {s_longest.Days} days", nameof(action));
        if (action is FaultAction.Fail { Errno: < 1 } or FaultAction.LoseMachine { Errno: < 1 })
            throw new ArgumentException("an error number is positive", nameof(action));
        if (action is FaultAction.LoseMachine { Errno: Eintr or Eagain })
            throw new ArgumentException("a machine that has gone away answers neither EINTR nor EAGAIN, which ask to be tried again", nameof(action));
        if (action is FaultAction.Fail { AfterRegisters: < 0 })
            throw new ArgumentException("a number of registers is not negative", nameof(action));
        var calls = FaultCalls.Able(FaultCalls.Matching(when.Call), action.Needs);
        if (calls.Count == 0)
            throw new ArgumentException($"'{action.Kind}' cannot happen at {when.Call}; it can at {Some(action.Needs)}", nameof(action));
        // On a vCPU that never makes the call the fault would never be met.
        if (when.Vcpu is not null && (calls = FaultCalls.Able(calls, FaultAbilities.OfVcpu)).Count == 0)
            throw new ArgumentException($"{when.Call} is no call of a vCPU; leave the vCPU out", nameof(when));
        lock (_gate)
        {
            var rule = new FaultRule(_made++, when, action, calls);
            _rules = _rules.Add(rule);
            var armed = new Dictionary<string, FaultRule[]>(_armed, StringComparer.Ordinal);
            foreach (var call in calls)
                armed[call] = armed.TryGetValue(call, out var rules) ? [.. rules, rule] : [rule];
            _armed = armed;
            return rule;
        }
    }

    /// <summary>Nothing goes wrong any more, and whoever waits goes on. Counts stay.</summary>
    public void Disarm()
    {
        lock (_gate)
        {
            _rules = [];
            _armed = new(StringComparer.Ordinal);
            // Under the lock, so that nobody else disposes of them meanwhile; what waits aside may go on right here.
            foreach (var wait in _waiting.ToArray())
                wait.Cancel();
        }
    }

    /// <summary>For decorators: whether a rule that may still hit is about this call. Where none is nobody need be told of it.</summary>
    public bool IsAbout(string call) => _armed.ContainsKey(call);

    /// <summary>For decorators: what goes wrong at a call that is about to be made.</summary>
    /// <returns>Null: nothing. Of several rules about the call all count it, and the first that is due is injected.</returns>
    public FaultHit? Next(in FaultSite site)
    {
        if (!IsAbout(site.Call))
            return null;
        var phase = PhaseSource?.Invoke();
        FaultHit? hit = null;
        lock (_gate)
        {
            if (!_armed.TryGetValue(site.Call, out var rules))
                return null;
            foreach (var rule in rules)
            {
                if (!rule.Counts(site, phase, out var number, out var ofParticipant))
                    continue;
                if (rule.IsSpent)
                    Drop(rule);
                if (hit is not null || !rule.IsDue(number))
                    continue;
                var draw = Draw(rule.Index, site, ofParticipant);
                if (rule.When.Probability < 1 && (draw >> 11) * (1.0 / (1UL << 53)) >= rule.When.Probability)
                    continue;
                hit = new FaultHit(rule, site, number, phase, Mix(draw));
            }

            if (hit is null)
                return null;
            hit.Rule.Hit();
            var key = (hit.Action.Kind, site.Call, site.Participant, phase);
            _counts[key] = _counts.GetValueOrDefault(key) + 1;
        }

        Injected?.Invoke(hit);
        return hit;
    }

    /// <summary>For decorators: lets a hit's delay or hang pass; does nothing for other hits.</summary>
    /// <param name="hit">The hit.</param>
    /// <param name="end">Ends it early.</param>
    public void Wait(FaultHit hit, CancellationToken end = default)
    {
        if (Begin(hit, end) is not { } over)
            return;
        try
        {
            _waits.Wait(hit, DurationOf(hit.Action), over.Token);
        }
        finally
        {
            End(over);
        }
    }

    /// <summary>
    /// For decorators of calls that only set something going, such as the sending of a signal: lets a hit's delay or hang pass
    /// beside the caller, who goes on at once, and then does what was to come; at once for other hits.
    /// </summary>
    /// <param name="hit">The hit.</param>
    /// <param name="then">What comes late. It must not throw.</param>
    /// <param name="end">Ends the wait early.</param>
    public void WaitAside(FaultHit hit, Action then, CancellationToken end = default)
    {
        if (Begin(hit, end) is not { } over)
        {
            then();
            return;
        }

        _waits.WaitAside(hit, DurationOf(hit.Action), Go, over.Token);

        void Go()
        {
            End(over);
            then();
        }
    }

    private void Drop(FaultRule spent)
    {
        var armed = new Dictionary<string, FaultRule[]>(_armed, StringComparer.Ordinal);
        foreach (var call in spent.Calls)
        {
            armed[call] = [.. armed[call].Where(rule => rule != spent)];
            if (armed[call].Length == 0)
                armed.Remove(call);
        }

        _armed = armed;
    }

    private static TimeSpan DurationOf(FaultAction action) => action switch
    {
        FaultAction.Delay delay => delay.Duration,
        FaultAction.Hang => Timeout.InfiniteTimeSpan,
        _ => TimeSpan.Zero,
    };

    // What ends a wait that begins; null where there is nothing to wait for.
    private CancellationTokenSource? Begin(FaultHit hit, CancellationToken end)
    {
        if (DurationOf(hit.Action) == TimeSpan.Zero)
            return null;
        var over = CancellationTokenSource.CreateLinkedTokenSource(end);
        lock (_gate)
        {
            // A rule that is gone has been disarmed between the hit and this wait.
            if (_rules.Contains(hit.Rule))
            {
                _waiting.Add(over);
                return over;
            }
        }

        over.Dispose();
        return null;
    }

    private void End(CancellationTokenSource over)
    {
        lock (_gate)
            _waiting.Remove(over);
        over.Dispose();
    }

    private static string Some(FaultAbilities needs)
    {
        var able = FaultCalls.Able(FaultCalls.Names, needs);
        return string.Join(", ", able.Take(MostNamed)) + (able.Count > MostNamed ? ", …" : "");
    }

    // By the participant's own count: what another thread does meanwhile changes nothing.
    private ulong Draw(int rule, in FaultSite site, long number)
    {
        var hash = Mix(seed + ((ulong)rule * 0x9e37_79b9_7f4a_7c15));
        foreach (var letter in site.Call)
            hash = (hash ^ letter) * 0x0000_0100_0000_01b3;
        foreach (var letter in site.Participant)
            hash = (hash ^ letter) * 0x0000_0100_0000_01b3;
        return Mix(hash + ((ulong)number * 0x9e37_79b9_7f4a_7c15));
    }

    private static ulong Mix(ulong value)
    {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring seeds give unrelated numbers.
        value = (value ^ (value >> 30)) * 0xbf58_476d_1ce4_e5b9;
        value = (value ^ (value >> 27)) * 0x94d0_49bb_1331_11eb;
        return value ^ (value >> 31);
    }
}
