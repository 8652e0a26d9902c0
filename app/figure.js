// Takes the chart above it along as it stands on the page: titled, with set and date, as SVG, as PNG of twice its size, as PDF.
const NS = "http://www.w3.org/2000/svg";
const FONTS = "'Source Sans', 'Source Sans 3', 'Source Sans Pro', Arial, Helvetica, sans-serif";
const EDGE = 16;

export default function ({ parentElement, data }) {
    for (const button of parentElement.querySelectorAll("button")) {
        button.onclick = () => take(data, button.dataset.kind);
    }
}

async function take(data, kind) {
    const svg = drawing(data);
    const made = kind === "svg" ? new Blob([text(svg)], { type: "image/svg+xml" })
        : kind === "png" ? await blob(await canvas(svg, 2), "image/png")
        : await pdf(svg);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(made);
    link.download = `${data.file}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function drawing({ name, title, about }) {
    const plot = document.querySelector(`.st-key-chart_${CSS.escape(name)} .js-plotly-plot`);
    const layers = [...plot.querySelectorAll(".main-svg")];
    const { width, height } = layers[0].getBoundingClientRect();
    const look = getComputedStyle(document.querySelector("[data-testid=stApp]"));
    const lines = wrapped(title, Math.floor(width / 8));
    const top = EDGE + 22 * lines.length + 26;
    const svg = node("svg", { xmlns: NS, width: width + 2 * EDGE, height: height + top + EDGE, "font-family": FONTS });
    svg.append(node("rect", { width: "100%", height: "100%", fill: look.backgroundColor }));
    lines.forEach((line, row) => svg.append(
        node("text", { x: EDGE, y: EDGE + 14 + 22 * row, fill: look.color, "font-size": 17, "font-weight": 600 }, line)));
    svg.append(node("text", { x: EDGE, y: top - 10, fill: look.color, "font-size": 13, opacity: 0.75 }, about));
    const chart = node("g", { transform: `translate(${EDGE}, ${top})` });
    for (const layer of layers) {
        const copy = layer.cloneNode(true), own = layer.querySelectorAll("text");
        copy.querySelectorAll("text").forEach((each, place) => fit(each, own[place]));
        copy.querySelectorAll(".hoverlayer").forEach(each => each.remove());
        chart.append(...copy.childNodes);
    }
    svg.append(chart);
    return svg;
}

// Another font, where the page's own is not at hand, takes no more room than that did.
function fit(words, own) {
    words.style.fontFamily = FONTS;
    if (!words.children.length && words.textContent) {
        words.setAttribute("textLength", own.getComputedTextLength());
        words.setAttribute("lengthAdjust", "spacingAndGlyphs");
    }
}

function node(kind, attributes, content = "") {
    const made = document.createElementNS(NS, kind);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.textContent = content;
    return made;
}

function wrapped(words, longest) {
    return words.split(" ").reduce((lines, word) => {
        const last = lines.at(-1);
        return last && last.length + word.length < longest ? [...lines.slice(0, -1), `${last} ${word}`] : [...lines, word];
    }, []);
}

const text = svg => new XMLSerializer().serializeToString(svg);
const blob = (drawn, type) => new Promise(done => drawn.toBlob(done, type, 0.95));

function canvas(svg, scale) {
    const drawn = document.createElement("canvas");
    drawn.width = Math.ceil(svg.getAttribute("width") * scale);
    drawn.height = Math.ceil(svg.getAttribute("height") * scale);
    const image = new Image();
    return new Promise((done, failed) => {
        image.onload = () => {
            drawn.getContext("2d").drawImage(image, 0, 0, drawn.width, drawn.height);
            done(drawn);
        };
        image.onerror = failed;
        image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text(svg))}`;
    });
}

// One page of the chart's size, a CSS pixel to 3/4 of a point, with the chart as a JPEG of three times as many pixels.
async function pdf(svg) {
    const drawn = await canvas(svg, 3);
    const image = new Uint8Array(await (await blob(drawn, "image/jpeg")).arrayBuffer());
    const [width, height] = [drawn.width / 4, drawn.height / 4];
    const content = `q ${width} 0 0 ${height} 0 0 cm /Chart Do Q`;
    const stream = (entries, body) => [`<< ${entries} /Length ${body.length} >>\nstream\n`, body, "\nendstream"];
    const objects = [
        ["<< /Type /Catalog /Pages 2 0 R >>"],
        ["<< /Type /Pages /Kids [3 0 R] /Count 1 >>"],
        [`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${width} ${height}] /Resources << /XObject << /Chart 4 0 R >> >> /Contents 5 0 R >>`],
        stream(`/Type /XObject /Subtype /Image /Width ${drawn.width} /Height ${drawn.height} /ColorSpace /DeviceRGB `
            + "/BitsPerComponent 8 /Filter /DCTDecode", image),
        stream("", content),
    ];
    const parts = ["%PDF-1.4\n"], starts = [];
    const size = () => parts.reduce((sum, part) => sum + part.length, 0);
    objects.forEach((parts_of, place) => {
        starts.push(size());
        parts.push(`${place + 1} 0 obj\n`, ...parts_of, "\nendobj\n");
    });
    const table = size();
    const entries = starts.map(start => `${String(start).padStart(10, "0")} 00000 n \n`).join("");
    parts.push(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${entries}`);
    parts.push(`trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${table}\n%%EOF\n`);
    return new Blob(parts, { type: "application/pdf" });
}
