"""The page that somebody sees who comes when as many are here as may be."""

FULL = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="30">
<title>Full - Asymmetric Duos Explorer</title>
<style>
body { margin: 20vh auto; max-width: 34rem; padding: 0 1rem; font: 1.05rem/1.5 sans-serif; color: #101820; background: #fff; }
h1 { font-size: 1.6rem; }
@media (prefers-color-scheme: dark) { body { color: #e6eaef; background: #0f141a; } }
</style>
</head>
<body>
<h1>Everybody's place is taken just now.</h1>
<p>This dashboard has as many visitors as it may. Somebody leaves every few minutes: this page asks again by itself,
every half a minute, and opens the dashboard as soon as there is room.</p>
<p>On a machine of your own there is no queue: install the project and say <code>duo app</code>.</p>
</body>
</html>
"""
"""It asks no other machine for anything, and runs no script."""
