using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Output;

/// <summary>How the lines of <c>--json</c> are written: names in snake_case, a value that is not there as null.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(StartedLine))]
[JsonSerializable(typeof(CommittedLine))]
[JsonSerializable(typeof(AbortedLine))]
[JsonSerializable(typeof(StoppedLine))]
[JsonSerializable(typeof(FaultLine))]
[JsonSerializable(typeof(NoticeLine))]
[JsonSerializable(typeof(RestoredLine))]
[JsonSerializable(typeof(GuestLine))]
[JsonSerializable(typeof(CheckLine))]
[JsonSerializable(typeof(DemoLine))]
[JsonSerializable(typeof(DoctorLine))]
[JsonSerializable(typeof(MachineLine))]
[JsonSerializable(typeof(CheckpointLine))]
[JsonSerializable(typeof(ShowLine))]
[JsonSerializable(typeof(RegistersLine))]
[JsonSerializable(typeof(DifferentRegisterLine))]
[JsonSerializable(typeof(DifferentDeviceLine))]
[JsonSerializable(typeof(DifferentPagesLine))]
[JsonSerializable(typeof(DiffLine))]
[JsonSerializable(typeof(VerifyLine))]
internal sealed partial class LineContext : JsonSerializerContext;
