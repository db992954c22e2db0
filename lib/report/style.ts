export const style = `
:root { color-scheme: light dark; --edge: #8884; --quiet: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 980px; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3, h4 { line-height: 1.2; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; }
dt { color: var(--quiet); font-size: 85%; }
dd { margin: 0; font-size: 120%; font-variant-numeric: tabular-nums; }
.curves { display: flex; flex-wrap: wrap; gap: 1.5rem 1rem; }
figure { margin: 0; min-width: 0; max-width: 100%; }
figure p { margin: 0; color: var(--quiet); font-size: 85%; max-width: 60em; }
figcaption, summary { font-weight: 600; }
/* Plot's own background is white; on a dark page its lines and letters take the page's colour. */
svg { --plot-background: transparent; max-width: 100%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: 85%; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; border-radius: 2px; }
.samples { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 1rem; }
article { border: 1px solid var(--edge); border-radius: 6px; padding: .5rem 1rem; min-width: 0; }
.figures { color: var(--quiet); font-size: 85%; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 85%; }
`
