using Akka.Actor;
using Akka.Configuration;
using Akka.Hosting;
using Checkpoint.Actors.Akka;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Samples.Akka;
using Checkpoint.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

if (!Arguments.TryRead(args, out var arguments, out var wrong))
{
    Console.Error.WriteLine(wrong);
    Console.Error.WriteLine(Arguments.Usage);
    return 2;
}

if (!SystemHandle.TryOpen(out var kvm, out var reason))
{
    Console.Error.WriteLine(reason);
    return 1;
}

using var system = kvm;
var builder = Host.CreateApplicationBuilder();
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddAkka("vmm", akka => akka
    .ConfigureLoggers(loggers => loggers.LogLevel = Akka.Event.LogLevel.WarningLevel)
    .AddHocon(SqlJournal.On(arguments.Database), HoconAddMode.Prepend)
    .WithCheckpointEngine(options => options.Store = "sqlite:" + arguments.Database)
    .WithActors((actors, registry) => registry.Register<Operator>(
        actors.ActorOf(Props.Create(() => new Operator(kvm, arguments, registry.Get<CheckpointEngineActor>())), "operator"))));
using var host = builder.Build();
try
{
    await host.StartAsync();
}
catch (Exception failure) when (failure is StoreException or ConfigurationException)
{
    Console.Error.WriteLine(failure.Message);
    return 1;
}

var done = await host.Services.GetRequiredService<IRequiredActor<Operator>>().ActorRef.Ask<Operator.Finished>(Operator.UntilFinished.Instance, Timeout.InfiniteTimeSpan);
await host.StopAsync();
if (done.Problem is not null)
    Console.Error.WriteLine(done.Problem);
return done.Problem is null ? 0 : 1;
