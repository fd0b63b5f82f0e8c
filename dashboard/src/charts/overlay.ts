/** What is drawn over the lines: thresholds, and the moments at which a group changed its size. */
import type uPlot from "uplot";

export interface Threshold {
  value: number;
  label: string;
  /** Where the alarm fires: the zone on that side is tinted. */
  side: "above" | "below";
  isUrgent: boolean;
}

export interface Marker {
  /** Seconds since 1970. */
  time: number;
  label: string;
}

export interface OverlayColours {
  urgent: string;
  calm: string;
  marker: string;
  surface: string;
}

const LABEL_GAP = 10;
const TAG_HEIGHT = 17;

function labelFont(ratio: number, family: string): string {
  return `500 ${Math.round(11 * ratio)}px ${family}`;
}

function inPlot(u: uPlot, draw: (context: CanvasRenderingContext2D, ratio: number) => void): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.textAlign = "left";
  draw(ctx, devicePixelRatio);
  ctx.restore();
}

/** Behind the lines: the zone in which an urgent alarm fires. */
export function drawZones(u: uPlot, thresholds: readonly Threshold[], colours: OverlayColours): void {
  inPlot(u, (context) => {
    const { left, top, width, height } = u.bbox;
    context.globalAlpha = 0.06;
    context.fillStyle = colours.urgent;
    for (const { value, side } of thresholds.filter(({ isUrgent }) => isUrgent)) {
      const y = u.valToPos(value, "y", true);
      if (side === "above") context.fillRect(left, top, width, y - top);
      else context.fillRect(left, y, width, top + height - y);
    }
  });
}

export function drawThresholds(
  u: uPlot,
  thresholds: readonly Threshold[],
  colours: OverlayColours,
  family: string,
): void {
  inPlot(u, (context, ratio) => {
    context.font = labelFont(ratio, family);
    context.textBaseline = "middle";
    for (const { value, label, isUrgent } of thresholds) {
      const ink = isUrgent ? colours.urgent : colours.calm;
      const y = Math.round(u.valToPos(value, "y", true));
      context.strokeStyle = ink;
      context.lineWidth = 1.5 * ratio;
      context.setLineDash([6 * ratio, 4 * ratio]);
      context.beginPath();
      context.moveTo(u.bbox.left, y);
      context.lineTo(u.bbox.left + u.bbox.width, y);
      context.stroke();
      const width = context.measureText(label).width + LABEL_GAP * ratio;
      const height = TAG_HEIGHT * ratio;
      context.lineWidth = ratio;
      const box = { left: u.bbox.left + 6 * ratio, bottom: y + height / 2, width, height };
      drawTag(context, box, label, ink, colours.surface, ratio);
    }
  });
}

export function drawMarkers(u: uPlot, markers: readonly Marker[], colours: OverlayColours, family: string): void {
  inPlot(u, (context, ratio) => {
    context.font = labelFont(ratio, family);
    context.textBaseline = "middle";
    let free = Number.NEGATIVE_INFINITY;
    for (const { time, label } of [...markers].sort((a, b) => a.time - b.time)) {
      const x = Math.round(u.valToPos(time, "x", true));
      context.strokeStyle = colours.marker;
      context.lineWidth = ratio;
      context.setLineDash([2 * ratio, 3 * ratio]);
      context.beginPath();
      context.moveTo(x, u.bbox.top);
      context.lineTo(x, u.bbox.top + u.bbox.height);
      context.stroke();
      const width = context.measureText(label).width + LABEL_GAP * ratio;
      const left = Math.min(x - width / 2, u.bbox.left + u.bbox.width - width);
      if (left < free) continue;
      free = left + width + LABEL_GAP * ratio;
      // At the top, away from the thresholds of idleness, which lie along the bottom.
      const bottom = u.bbox.top + (4 + TAG_HEIGHT) * ratio;
      const box = { left, bottom, width, height: TAG_HEIGHT * ratio };
      drawTag(context, box, label, colours.marker, colours.surface, ratio);
    }
  });
}

function drawTag(
  context: CanvasRenderingContext2D,
  box: { left: number; bottom: number; width: number; height: number },
  label: string,
  ink: string,
  surface: string,
  ratio: number,
): void {
  context.setLineDash([]);
  context.fillStyle = surface;
  context.beginPath();
  context.roundRect(box.left, box.bottom - box.height, box.width, box.height, 4 * ratio);
  context.fill();
  context.stroke();
  context.fillStyle = ink;
  context.fillText(label, box.left + (LABEL_GAP / 2) * ratio, box.bottom - box.height / 2);
}
