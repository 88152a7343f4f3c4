// Elements in one line each. Text goes in as text, never as markup.

type Child = Node | string | undefined;

interface Properties {
  class?: string;
  title?: string;
  hidden?: boolean;
  type?: string;
  click?: () => void;
  /** Any other attribute. */
  attributes?: Record<string, string>;
}

export function element<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, properties: Properties, ...children: Child[]): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  const { class: names, title, hidden, type, click, attributes = {} } = properties;
  if (names !== undefined) made.className = names;
  if (title !== undefined) made.title = title;
  if (hidden !== undefined) made.hidden = hidden;
  if (type !== undefined) made.setAttribute("type", type);
  if (click !== undefined) made.addEventListener("click", click);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** A codicon, which says nothing to a screen reader: the text beside it does. */
export function icon(name: string, modifier = ""): HTMLElement {
  return element("span", { class: `codicon codicon-${name} ${modifier}`.trim(), attributes: { "aria-hidden": "true" } });
}

export function button(label: string, names: string, click: () => void, ...children: Child[]): HTMLButtonElement {
  return element("button", { type: "button", class: names, click }, ...children, label);
}

/** A button that shows an icon alone; its name is for the pointer that rests on it and for screen readers. */
export function iconButton(name: string, label: string, click: () => void): HTMLButtonElement {
  return element("button", { type: "button", class: "icon", title: label, click, attributes: { "aria-label": label } }, icon(name));
}
