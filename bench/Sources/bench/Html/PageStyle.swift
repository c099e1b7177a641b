// The looks of the report: system fonts, two palettes, one column on a phone.

enum PageStyle {
  static let css = """
    :root {
      color-scheme: light dark;
      --page: #f6f6f3; --card: #ffffff; --ink: #1c2023; --dim: #5c646b; --edge: #dcdcd6; --grid: #e6e6e1;
      --ours: #0b7a75; --ours-freed: #4fa39d; --other: #8f979f; --limit: #d9a441; --range: #2b3136;
      --good: #0b6e4f; --bad: #b3261e; --link: #0b6e6a;
      --hue-0: #6a737b; --hue-1: #b8860b; --hue-2: #7a4fb5; --hue-3: #b5483a; --hue-4: #3a6fb5; --hue-5: #7f8f1f;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --page: #14171a; --card: #1c2024; --ink: #e6e8ea; --dim: #9aa4ad; --edge: #30363c; --grid: #2b3136;
        --ours: #2bb5ab; --ours-freed: #23807a; --other: #73808a; --limit: #b98a2f; --range: #dfe3e6;
        --good: #5fd0a5; --bad: #ff8a80; --link: #5fd0c7;
        --hue-0: #98a2ab; --hue-1: #e0b04a; --hue-2: #b693ea; --hue-3: #ee8577; --hue-4: #7fb0f0; --hue-5: #bccb58;
      }
    }
    * { box-sizing: border-box; }
    body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; background: var(--page); color: var(--ink);
      font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
      overflow-wrap: break-word; }
    h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
    h2 { font-size: 1.3rem; margin: 2.5rem 0 .3rem; }
    h3 { font-size: 1rem; margin: 0 0 .5rem; }
    p { margin: .3rem 0 .8rem; max-width: 46rem; }
    a { color: var(--link); }
    .dim, figcaption, caption { color: var(--dim); }
    nav ul { list-style: none; margin: 1rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; }
    .card { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem; padding: .9rem 1rem;
      margin: 0 0 1rem; }
    .pair { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: .5rem 2rem; }
    .grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }
    .grid .card { margin: 0; } .curves { margin: 0 0 1rem; } .curves .legend { margin: 0 0 .3rem; }
    figure { margin: 0; min-width: 0; }
    figcaption { font-size: .82rem; }
    .legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; padding: 0; list-style: none; }
    .swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .4rem;
      background: var(--other); }
    .swatch.ours { background: var(--ours); } .swatch.ours-freed { background: var(--ours-freed); }
    .swatch.limit { background: var(--limit); }
    svg { display: block; max-width: 100%; overflow: visible; }
    svg.plot { width: 100%; max-width: 28rem; height: auto; margin: 0 auto; }
    svg text { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
    svg.plot text { font-size: 11px; }
    svg.plot text.name { paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
    svg text.dim { fill: var(--dim); font-size: 11px; }
    svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
    svg rect { fill: var(--other); }
    svg .ours rect { fill: var(--ours); } svg .ours-freed rect { fill: var(--ours-freed); }
    svg .limit rect { fill: var(--limit); }
    svg .ours text, svg text.ours { font-weight: 700; }
    svg .dot { fill: var(--other); stroke: var(--card); }
    svg .dot.ours { fill: var(--ours); } svg .dot.ours-freed { fill: var(--ours-freed); }
    svg .dot.limit { fill: var(--limit); } svg .curve.limit { stroke: var(--limit); }
    svg .grid { stroke: var(--grid); } svg .range { stroke: var(--range); opacity: .75; }
    svg.plot .range { stroke: var(--dim); opacity: .5; } svg .leader { stroke: var(--dim); opacity: .6; }
    svg .reference { stroke: var(--dim); stroke-dasharray: 2 3; }
    svg .curve { fill: none; stroke: var(--other); stroke-width: 2; stroke-linejoin: round; }
    svg .curve.ours { stroke: var(--ours); } svg .curve.ours-freed { stroke: var(--ours-freed); stroke-dasharray: 5 3; }
    .latency { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.6fr); gap: 1rem 1.5rem;
      margin: 0 0 .8rem; }
    .latency .legend { margin: .2rem 0; } .latency .grid { gap: .2rem 1rem; }
    svg .area { fill: var(--other); opacity: .8; } svg .area.ours { fill: var(--ours); }
    svg .area.ours-freed { fill: var(--ours-freed); } svg .cycle { fill: var(--limit); }
    svg .stop { stroke: var(--ink); stroke-width: 1; }
    \((0..<6).map { "svg .curve.hue-\($0) { stroke: var(--hue-\($0)); } .swatch.hue-\($0) { background: var(--hue-\($0)); }" }
      .joined(separator: "\n    "))
    svg .good { fill: var(--good); } svg .bad { fill: var(--bad); }
    table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
    caption { text-align: left; padding: .2rem 0; }
    th, td { padding: .25rem .5rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--grid); }
    th { font-weight: 600; } th.text, td.text { text-align: left; } tbody th { font-weight: 400; }
    th:first-child { padding-left: 0; } td:last-child, th:last-child { padding-right: 0; }
    td.text { overflow-wrap: anywhere; }
    td { white-space: nowrap; } td.text { white-space: normal; } td small { display: block; color: var(--dim); }
    td.text svg { margin-top: .35rem; }
    details { margin-top: .6rem; overflow-x: auto; } summary { cursor: pointer; color: var(--dim); font-size: .85rem; }
    .reached { color: var(--good); } .missed { color: var(--bad); font-weight: 600; }
    .problems { border-left: 4px solid var(--bad); }
    @media (max-width: 46rem) {
      body { padding: 1rem .7rem 2rem; }
      .pair, .latency { grid-template-columns: minmax(0, 1fr); gap: 1rem; }
      .card { padding: .8rem .6rem; }
      table { font-size: .75rem; } th, td { padding: .25rem .12rem; }
      td small { white-space: normal; font-size: .68rem; }
      .wide { display: none; }
    }
    """
}
