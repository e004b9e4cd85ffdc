"""Names that try to become markup, links or requests, and what a page shows if one of them succeeds."""

from playwright.sync_api import Page

from xent_ui.text import WORD_JOINER

NAMES = [
    "![z1](http://127.0.0.2:9/a.png)",
    "<img src=http://127.0.0.2:9/b.png>",
    "[z3](http://127.0.0.2:9)",
    "<a href='http://127.0.0.2:9/'>z4</a>",
    "http://127.0.0.2:9/z5",
    "www.z6.example z6@mail.example",
    "**z7** _z7_ ~~z7~~ `z7`",
    "$z8^2$ $$z8$$",
    ":red[z9] :material/home: :smile:",
    ":material_home: :streamlit: a -> b",
    "<b>z10</b><br>&lt;i&gt;&amp;",
    "[z11](javascript:alert(1))",
    "{z12} {0} %s %(z12)s",
    "%{x} %{z:.3f}<extra>z13</extra>",
    "| z14 | # z14",
    "</script><script>z15()</script>",
    "</section></div><svg onload=z16()>",
]
ADDRESS = "127.0.0.2"  # where requests of these names would go: this machine, but not the server

_FIND = """() => {
    const found = new Set(), texts = [];
    const bad = address => /127\\.0\\.0\\.2|javascript:|mailto:|\\.example/i.test(address ?? '');
    const visit = root => {
        for (const node of root.querySelectorAll('*')) {
            if (node.shadowRoot) visit(node.shadowRoot);
            const tag = node.localName, text = node.textContent;
            for (const name of ['src', 'href', 'xlink:href', 'srcset', 'action', 'data', 'poster'])
                if (bad(node.getAttribute(name))) found.add(`${tag} ${name}=${node.getAttribute(name)}`);
            for (const {name} of node.attributes)
                if (name.startsWith('on')) found.add(`${tag} ${name}`);
            if (['b', 'strong', 'em', 'i', 'del', 's', 'code', 'a', 'h1', 'td'].includes(tag)
                && /^\\s*z(3|4|7|10|11|14)\\s*$/.test(text)) found.add(`${tag}: ${text}`);
            if (tag === 'script' && /z15/.test(text)) found.add(`script: ${text}`);
            if (node.classList.contains('katex') && /z8/.test(text) && !/\\$z8/.test(text)) found.add(`katex: ${text}`);
            if (tag === 'tspan' && /^z10$/.test(text)) found.add(`plotly: ${text}`);
            if (tag === 'span' && /^z9$/.test(text)) found.add(`colour: ${text}`);
            if (node.getAttribute('role') === 'img' && text === 'home') found.add('an icon');
            if (node.getAttribute('alt') === 'Streamlit logo') found.add('a logo');
            if (!node.children.length) texts.push(text, node.value ?? '', node.getAttribute('aria-label') ?? '');
        }
    };
    visit(document);
    const all = texts.join('\\n');
    if (/\\u{1F604}|a → b/u.test(all)) found.add('a sign');
    return {found: [...found], raw: all};
}"""


def rendered(page: Page) -> tuple[list[str], str]:
    """What became of the names that should not have, and all text on the page, of shadow roots too."""
    answer = page.evaluate(_FIND)
    return answer["found"], answer["raw"].replace(WORD_JOINER, "").replace("\u00a0", " ")
