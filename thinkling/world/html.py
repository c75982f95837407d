"""Pages as HTML: six site templates with the clutter that real sites carry around the main text."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from thinkling.world.grammar import Variants, pick, variants
from thinkling.world.page import Block, Page

MENU = (
    "Home",
    "News",
    "About",
    "Contact",
    "Search",
    "Archive",
    "Help",
    "Shop",
    "Login",
    "Topics",
    "Events",
    "Gallery",
)
SIDE = variants(
    "[Most read|Latest posts|Popular now|Editor's picks|Related pages|Recent comments|Tags|Follow us|Newsletter]"
)
TEASERS = variants(
    "[Ten|Five|Seven] [tips|ideas|reasons] [for a better|to love your] [garden|kitchen|holiday]",
    "[Photos|Pictures] of the [summer|winter|spring] fair",
    "Why [everyone|nobody] talks about [tea|boats|bread|maps]",
    "[Old|New] [bridge|school|mill] to [open|close] [soon|next year]",
    "[Read|See] what our [readers|members] say",
)
ADS = variants(
    "[Buy|Order] [now|today] and save [10|20|30|50]%!",
    "Advertisement: [cheap flights|new shoes|fast loans|best phones] [here|online]",
    "[Click here|Sign up] for [free delivery|our special offer]",
)
COOKIES = variants(
    "[We use|This site uses] cookies [to improve your experience|for statistics and ads]. [Accept all|OK|Settings]",
    "By using this website you agree to our cookie policy. [Accept|Reject] [Learn more|Read more]",
)
FOOTERS = variants(
    "Copyright {year} {site}. All rights reserved. [Privacy policy|Terms of use] | [Imprint|Contact] | Sitemap",
    "(c) {year} {site} - powered by [BlogPress|PageMill|WikiWorks] - Terms of use - Privacy policy",
)
SCRIPTS = (
    "window.dataLayer=window.dataLayer||[];function gtag(){{dataLayer.push(arguments);}}gtag('config','G-{n}');",
    "var _q=_q||[];_q.push(['trackPageView']);(function(d){{var s=d.createElement('script');s.src='/js/{n}.js';"
    "d.head.appendChild(s);}})(document);",
    "document.addEventListener('DOMContentLoaded',function(){{if(!localStorage.seen{n}){{show('#banner');}}}});",
)
STYLES = (
    "body{{font:16px/1.5 sans-serif;margin:0;color:#{n:06x}}}nav ul{{display:flex;list-style:none}}.ad{{float:right}}",
    ".wrap{{max-width:{n}px;margin:auto}}h1{{font-size:2em}}@media(max-width:600px){{.side{{display:none}}}}",
)


@dataclass(frozen=True, slots=True)
class Site:
    """One web site: its host, its name and the template that all its pages share."""

    host: str
    name: str
    template: str


def _blocks(blocks: tuple[Block, ...], level: int) -> str:
    """The main text as HTML; headings at ``level``."""
    parts: list[str] = []
    for tag, content in blocks:
        if isinstance(content, str):
            name = f"h{level}" if tag == "h" else "p"
            parts.append(f"<{name}>{escape(content, quote=False)}</{name}>")
            continue
        lines = [escape(line, quote=False) for line in content]
        match tag:
            case "br":
                parts.append(f"<p>{'<br>'.join(lines)}</p>")
            case "pre":
                parts.append("<pre>" + "\n".join(lines) + "</pre>")
            case "table":
                rows = "".join(f"<tr><td>{line}</td></tr>" for line in lines)
                parts.append(f"<table>{rows}</table>")
            case _:
                parts.append(f"<{tag}>" + "\n".join(f"<li>{line}</li>" for line in lines) + f"</{tag}>")
    return "\n".join(parts)


def _menu(rng: random.Random, wrap: str) -> str:
    items = rng.sample(MENU, 4 + int(rng.random() * 4))
    links = "".join(f'<li><a href="/{item.lower()}/">{item}</a></li>' for item in items)
    return f"<{wrap}><ul>{links}</ul></{wrap}>"


def _side(rng: random.Random) -> str:
    teasers = "".join(
        f'<li><a href="/{int(rng.random() * 9000)}.html">{pick(rng, TEASERS)}</a></li>'
        for _ in range(3 + int(rng.random() * 4))
    )
    return f"<h3>{pick(rng, SIDE)}</h3><ul>{teasers}</ul>"


def _ad(rng: random.Random) -> str:
    return f'<aside class="ad"><a href="/go?id={int(rng.random() * 99999)}">{pick(rng, ADS)}</a></aside>'


def _script(rng: random.Random) -> str:
    return f"<script>{pick(rng, SCRIPTS).format(n=int(rng.random() * 9999))}</script>"


def _style(rng: random.Random) -> str:
    return f"<style>{pick(rng, STYLES).format(n=600 + int(rng.random() * 600))}</style>"


def _cookies(rng: random.Random) -> str:
    return f'<div id="cookie-banner" class="cookie-consent" role="dialog">{pick(rng, COOKIES)}</div>'


def _footer(rng: random.Random, site: Site) -> str:
    return pick(rng, FOOTERS).format(year=2010 + int(rng.random() * 15), site=site.name)


def _wiki(rng: random.Random, page: Page, site: Site, main: str) -> str:
    return (
        f'<body><div id="header">{_menu(rng, "nav")}</div>{_cookies(rng)}<main id="content">'
        f"<h1>{escape(page.title)}</h1>\n{main}</main>"
        f'<aside class="sidebar">{_side(rng)}</aside><footer>{_footer(rng, site)}</footer>{_script(rng)}</body>'
    )


def _blog(rng: random.Random, page: Page, site: Site, main: str) -> str:
    return (
        f'<body class="blog"><header><a href="/" class="logo">{escape(site.name)}</a>{_menu(rng, "nav")}</header>'
        f'{_ad(rng)}<article class="post"><h1 class="entry-title">{escape(page.title)}</h1>\n'
        f'<div class="entry-content">{main}</div></article>'
        f'<nav class="share"><a href="#">Share</a> <a href="#">Tweet</a> <a href="#">Pin it</a></nav>'
        f'<aside id="sidebar">{_side(rng)}{_ad(rng)}</aside>{_cookies(rng)}<footer>{_footer(rng, site)}</footer></body>'
    )


def _news(rng: random.Random, page: Page, site: Site, main: str) -> str:
    return (
        f'<body>{_cookies(rng)}<header class="site-header">{_menu(rng, "nav")}{_ad(rng)}</header>'
        f'<div class="breadcrumb"><a href="/">Home</a> &raquo; <a href="/all">All pages</a></div>'
        f"<article><h1>{escape(page.title)}</h1>\n{main}\n</article>"
        f'<section class="related"><div class="teaser">{_side(rng)}</div></section>'
        f"<footer>{_footer(rng, site)}</footer>{_script(rng)}{_script(rng)}</body>"
    )


def _forum(rng: random.Random, page: Page, site: Site, main: str) -> str:
    return (
        f'<body><nav class="navbar">{_menu(rng, "div")}</nav><main><h1>{escape(page.title)}</h1>\n'
        f'<div class="thread">{main}</div></main>'
        f'<div class="login-box"><form action="/login"><input name="user"><input name="pass" type="password">'
        f"<button>Log in</button></form></div><footer>{_footer(rng, site)}</footer>{_script(rng)}</body>"
    )


def _bare(rng: random.Random, page: Page, site: Site, main: str) -> str:
    return f'<body bgcolor="#ffffff"><h1>{escape(page.title)}</h1>\n{main}\n<hr>{_footer(rng, site)}</body>'


def _docs(rng: random.Random, page: Page, site: Site, main: str) -> str:
    return (
        f'<body><div class="skip"><a href="#main">Skip to content</a></div><nav id="toc">{_menu(rng, "div")}</nav>'
        f'<div id="main" role="main"><section><h1>{escape(page.title)}</h1>\n{main}</section></div>'
        f'<nav class="pager"><a href="/prev">Previous</a> <a href="/next">Next</a></nav>'
        f"<footer>{_footer(rng, site)}</footer></body>"
    )


def _menus_only(rng: random.Random, site: Site) -> str:
    """A page whose text would come from a script: nothing but navigation without it."""
    return (
        f'<body><header>{_menu(rng, "nav")}</header><div id="root"></div>{_script(rng)}'
        f"<footer>{_footer(rng, site)}</footer></body>"
    )


TEMPLATES: dict[str, Callable[[random.Random, Page, Site, str], str]] = {
    "wiki": _wiki,
    "blog": _blog,
    "news": _news,
    "forum": _forum,
    "bare": _bare,
    "docs": _docs,
}


def render(rng: random.Random, page: Page, site: Site) -> str:
    """The whole HTML document of ``page`` on ``site``; ``page.charset`` "none" leaves the meta tag out."""
    meta = f'<meta charset="{page.charset}">' if page.charset not in ("none", "utf-16") else ""
    lang = f' lang="{page.lang}"' if rng.random() < 0.7 else ""
    head = (
        f"<!DOCTYPE html>\n<html{lang}><head>{meta}<title>{escape(page.title)} - {escape(site.name)}</title>"
        f"{_style(rng)}{_script(rng) if site.template != 'bare' else ''}</head>\n"
    )
    if not page.blocks:
        return f"{head}{_menus_only(rng, site)}</html>\n"
    main = _blocks(page.blocks, 2)
    return head + TEMPLATES[site.template](rng, page, site, main) + "</html>\n"


SITE_WORDS: Variants = variants(
    ""
    "[old|new|little|green|open|daily|happy|quiet|bright|river]-[mill|lamp|page|library|garden|almanac|reader|school|notes|post]"
)
ENDINGS = ("example.org", "example.com", "example.net")


def sites(rng: random.Random, count: int) -> tuple[Site, ...]:
    """``count`` web sites under the names that RFC 2606 keeps free for examples."""
    names = rng.sample(SITE_WORDS, count)
    kinds = list(TEMPLATES)
    return tuple(
        Site(f"{name}.{ENDINGS[index % 3]}", name.replace("-", " ").title(), kinds[index % len(kinds)])
        for index, name in enumerate(names)
    )
