using Checkpoint.Cli;

// The first signal asks the command to stop cleanly; a second one of the same kind ends the process as it always did.
using var interruption = new Interruption();
return await CheckpointCommand.RunAsync(args, Surroundings.OfThisProcess(), interruption.Token);
