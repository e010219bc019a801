// The store needs Linux, and so do its tests.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
