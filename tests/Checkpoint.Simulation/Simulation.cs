using Checkpoint.Simulation.Faults;

namespace Checkpoint.Simulation;

/// <summary>How one history ended.</summary>
/// <param name="Seed">Its seed.</param>
/// <param name="BrokenInvariant">The name of the first invariant that did not hold; null where all did.</param>
/// <param name="Law">What it says.</param>
/// <param name="What">What broke it.</param>
/// <param name="Rounds">How many rounds there were.</param>
/// <param name="Steps">How many steps the scheduler made.</param>
/// <param name="Fingerprint">The history as a number.</param>
/// <param name="Struck">What went wrong in it.</param>
/// <param name="History">What happened, where it was kept.</param>
internal sealed record SimulationResult(
    ulong Seed, string? BrokenInvariant, string? Law, string? What, int Rounds, long Steps, ulong Fingerprint, FaultTable Struck, string History);

/// <summary>Plays one history from its seed to its end.</summary>
internal static class Simulation
{
    private const long MostSteps = 400_000;
    private const long MostUs = 120_000_000;
    private const int StepsBetweenLooks = 64;

    public static SimulationResult Run(ulong seed, SimulationOptions options)
    {
        // What the engine goes on with must go on here, not in somebody's queue.
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            return PlayOne(seed, options);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    private static SimulationResult PlayOne(ulong seed, SimulationOptions options)
    {
        var world = new World(seed, options);
        var shared = world.StartProcess();
        foreach (var tenant in world.Tenants)
            tenant.Begin(tenant.BeginsIn(world.Random.Chance(0.5) ? shared : world.StartProcess()));
        Play(world, options);
        if (world.Broken is null)
        {
            foreach (var tenant in world.Tenants)
                world.Tell(invariant => invariant.OnSettled(tenant));
        }

        foreach (var tenant in world.Tenants)
        {
            foreach (var life in tenant.Lives.ToList())
                tenant.Bury(life);
        }

        return new SimulationResult(
            seed,
            world.Broken?.Invariant.Name,
            world.Broken?.Invariant.Law,
            world.Broken?.What,
            world.Tenants.Sum(tenant => tenant.Rounds),
            world.Scheduler.Steps,
            world.Scheduler.Fingerprint,
            world.Faults.Struck,
            world.History.ToString());
    }

    private static void Play(World world, SimulationOptions options)
    {
        var isLiveness = options.Mode == SimulationMode.Liveness;
        while (world.Broken is null)
        {
            var isOver = !world.Scheduler.Step() || world.Scheduler.Steps > MostSteps || world.Scheduler.NowUs > MostUs;
            if (isOver)
            {
                world.OutOfTime();
                return;
            }

            world.StrikeAtMoments();
            if (world.Scheduler.Steps % StepsBetweenLooks == 0)
                world.Tell(invariant => invariant.OnLook());
            if (isLiveness && !world.IsFixed && world.Tenants.Any(tenant => tenant.Rounds >= options.Rounds / 2))
                world.Fix();
            if (world.Tenants.TrueForAll(tenant => tenant.IsOver))
                return;
        }
    }
}
